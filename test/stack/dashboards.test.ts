import { readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { describeConsumeMetrics } from '../../src/consume/consume-metrics.js';
import { describeMetrics } from '../../src/ops/metrics.js';
import { createEmptyDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { run } from '../support/server/program.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { environmentOf, readCompose, root } from '../support/stack/compose.js';
import { dashboardExpressions, readDashboards } from '../support/stack/dashboards.js';
import { metricsIn } from '../support/stack/rules.js';

interface DataSource {
  readonly uid: string;
  readonly type: string;
  readonly user?: string;
  readonly secureJsonData?: { readonly password: string };
}

const dataSources = (
  parse(readFileSync(path.join(root, 'ops/grafana/provisioning/datasources/datasources.yml'), 'utf8')) as {
    datasources: DataSource[];
  }
).datasources;

/** The units in use, as Grafana names them. */
const units = ['short', 's', 'bytes', 'decbytes', 'percentunit', 'reqps', 'ops'];

describe('the dashboards', () => {
  it('are as their source says', async () => {
    const { code, output } = await run(process.execPath, ['scripts/dashboards.mjs', '--check'], {
      cwd: root,
    });
    expect(output).toBe('');
    expect(code).toBe(0);
  });

  it('have names of their own', () => {
    const boards = [...readDashboards().values()];
    expect(boards.length).toBeGreaterThanOrEqual(5);
    expect(new Set(boards.map(({ uid }) => uid)).size).toBe(boards.length);
    for (const { uid, schemaVersion } of boards) {
      expect(uid).toMatch(/^[a-z-]{1,40}$/);
      expect(schemaVersion).toBeGreaterThanOrEqual(39);
    }
  });

  it.each([...readDashboards()])('%s: every panel says what it shows, in a unit', (_, board) => {
    for (const panel of board.panels.filter(({ type }) => type !== 'row')) {
      const where = `${board.title} / ${panel.title}`;
      expect(panel.description?.length, where).toBeGreaterThan(20);
      expect(units, where).toContain(panel.fieldConfig?.defaults.unit);
      expect(panel.fieldConfig?.defaults.thresholds?.steps[0]?.value, where).toBeNull();
      expect(panel.targets?.length, where).toBeGreaterThan(0);
      const source = dataSources.find(({ uid }) => uid === panel.datasource?.uid);
      expect(source?.type, where).toBe(panel.datasource?.type);
    }
  });

  it.each([...readDashboards()])('%s: panels lie beside each other, not on each other', (_, { panels }) => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { gridPos } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.has(`${x},${y}`)).toBe(false);
          taken.add(`${x},${y}`);
        }
      }
    }
  });

  it.each([...readDashboards()])('%s: uses the variables that it has', (_, board) => {
    const names = board.templating.list.map(({ name }) => name);
    const used = [...JSON.stringify(board.panels).matchAll(/\$(?!__)\{?(\w+)/g)].map(([, name]) => name);
    for (const name of used) expect(names).toContain(name);
  });

  it('show every metric of transfers', () => {
    const shown = new Set(dashboardExpressions().flatMap(([, expression]) => metricsIn(expression)));
    const metrics = describeMetrics()
      .map(({ name }) => name)
      .filter((name) => /^switchyard_(transfers|spool|import|list)_/.test(name));
    expect(metrics.length).toBeGreaterThanOrEqual(8);
    expect(metrics.filter((name) => !shown.has(name))).toEqual([]);
  });

  it('show every metric that only consumers have', () => {
    const shown = new Set(dashboardExpressions().flatMap(([, expression]) => metricsIn(expression)));
    const names = describeConsumeMetrics().map(({ name }) => name);
    expect(names.filter((name) => name.startsWith('switchyard_consume_') && !shown.has(name))).toEqual([]);
  });

  it('are found by their provisioning', () => {
    const file = path.join(root, 'ops/grafana/provisioning/dashboards/dashboards.yml');
    const { providers } = parse(readFileSync(file, 'utf8')) as { providers: { options: { path: string } }[] };
    const home = environmentOf('grafana').GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH ?? '';
    expect(path.dirname(home)).toBe(providers[0]?.options.path);
    expect([...readDashboards().keys()]).toContain(path.basename(home));
  });
});

describe('Grafana’s role in the database', () => {
  let database: TestDatabase;
  let server: TestServer;
  let reader: pg.Client;
  const role = dataSources.find(({ uid }) => uid === 'postgres')?.user ?? '';

  beforeAll(async () => {
    // As in the container: the role is made first, the tables by the server.
    database = await createEmptyDatabase();
    const sql = readFileSync(path.join(root, 'ops/postgres/reader.sql'), 'utf8');
    // psql's variables, and the owner of the tables, which is this test's own.
    const { user, database: name } = database.address;
    await database.query(
      sql
        .replace(":'password'", "'read only'")
        .replaceAll(':"DBNAME"', name)
        .replace('FOR ROLE switchyard ', `FOR ROLE "${user}" `),
    );
    server = await startServer({ DATABASE_URL: database.url });
    reader = new pg.Client({ ...database.address, user: role, password: 'read only' });
    await reader.connect();
  });

  afterAll(async () => {
    await reader?.end();
    await server?.stop();
    await database?.query(`DROP OWNED BY ${role}`);
    await database?.query(`DROP ROLE ${role}`);
    await database?.drop();
  });

  it('is the one that the init script makes, with the password that Grafana is given', () => {
    const script = readFileSync(path.join(root, 'ops/postgres/reader.sql'), 'utf8');
    expect(script).toContain(`CREATE ROLE ${role} LOGIN`);
    expect(dataSources.find(({ uid }) => uid === 'postgres')?.secureJsonData?.password).toBe(
      '$__file{/secrets/postgres_reader_password}',
    );
    const { services } = readCompose();
    expect(services.grafana?.volumes).toContain('secrets-grafana:/secrets:ro');
    expect(services.db?.environment?.READER_PASSWORD_FILE).toBe('/secrets/postgres_reader_password');
    expect(services.db?.volumes).toContain('secrets-db:/secrets:ro');
  });

  it.each([
    `INSERT INTO users (username, email) VALUES ('x', 'x@example.com')`,
    `DELETE FROM events`,
    `UPDATE short_urls SET is_active = false`,
    `CREATE TABLE mine (id int)`,
    `SET default_transaction_read_only = off; DELETE FROM users`,
  ])('may not: %s', async (sql) => {
    await expect(reader.query(sql)).rejects.toThrow(/permission denied|read-only/);
    await reader.query('SET default_transaction_read_only = on');
  });

  it('may read what the upkeep makes later', async () => {
    const [chunk] = await database.query<{ name: string }>(
      'SELECT make_event_chunks(1000000), (SELECT name FROM event_chunks() ORDER BY first_id DESC LIMIT 1) AS name',
    );
    await expect(reader.query(`SELECT count(*) FROM ${chunk?.name}`)).resolves.toBeDefined();
  });

  it('gets rows for every panel that asks the database', async () => {
    const url = await createUrl(server);
    for (let count = 0; count < 5; count += 1) await click(server, url.short_code);
    await eventually(async () => {
      const { status, headers } = await server.fetch(`/events?url_id=${url.id}`);
      return status === 200 && headers.get('x-clicks-pending') === null;
    });
    const queries = [...readDashboards().values()].flatMap(({ title, panels }) =>
      panels.flatMap(({ title: panel, targets = [] }) =>
        targets.flatMap(({ rawSql }) => (rawSql === undefined ? [] : [[`${title} / ${panel}`, rawSql]])),
      ),
    );
    expect(queries.length).toBeGreaterThanOrEqual(5);
    for (const [where, sql = ''] of queries) {
      const inTime = sql.replaceAll(
        /\$__timeFilter\(([^)]+)\)/g,
        `$1 BETWEEN '2020-01-01T00:00:00Z' AND '2099-01-01T00:00:00Z'`,
      );
      expect(inTime, where).not.toContain('$__');
      const { rows } = await reader.query(inTime);
      expect(rows.length, where).toBeGreaterThan(0);
      if (where === 'PostgreSQL and pool / Connections by user') {
        expect(rows.map(({ user }) => user)).toContain(database.address.user);
      }
      if (where === 'Clicks / Top 10 links') {
        expect(rows[0]).toEqual({ short_code: url.short_code, target: url.original_url, clicks: '5' });
      }
    }
  });
});
