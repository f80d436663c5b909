import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestDatabase } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { PostgresNode } from '../support/database/replicated-postgres.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { Random, seed } from '../torture/torture.js';

const STEPS = 12;
/** More than a list that is answered as a call, and than a page may skip to be one. */
const USERS = 12_000;

interface Link {
  readonly code: string;
  target: string;
}

describeWith('postgres')(`reads from a standby (seed ${seed})`, { timeout: 120_000 }, () => {
  let node: PostgresNode;
  let standby: PostgresNode;
  /** A copy that goes its own way, with a longer log than the primary's. */
  let stranger: PostgresNode;
  let follower: PostgresNode | undefined;
  /** What lies between the server and its standby. */
  let line: FaultProxy;
  let onPrimary: TestDatabase;
  let onStandby: TestDatabase;
  let server: TestServer;
  const random = new Random('standby');
  /** What every read must find: each link by its id. */
  const model = new Map<number, Link>();
  let named = 0;

  beforeAll(async () => {
    node = await PostgresNode.create();
    const first = await startServer({ DATABASE_URL: node.url });
    await first.stop();
    stranger = await node.baseBackup();
    standby = await node.standby(node.port);
    onPrimary = await node.connect();
    onStandby = await standby.connect();
    line = await FaultProxy.start(standby.port);
    server = await start(standby.url.replace(`:${standby.port}/`, `:${line.port}/`));
  }, 120_000);

  afterAll(async () => {
    await server?.stop();
    await line?.stop();
    for (const database of [onStandby, onPrimary]) await database?.drop();
    for (const one of [standby, follower, stranger, node]) await one?.remove();
  });

  const start = (readUrl: string): Promise<TestServer> =>
    startServer({
      DATABASE_URL: node.url,
      DATABASE_READ_URL: readUrl,
      GATEWAY_THREADS: '1',
      // Nearly every visit is a miss.
      CACHE_MAX_LINKS: '1',
      // A busy machine may need longer; what is read is what counts.
      CALL_DEADLINE_MS: '20000',
    });

  /** Reads and codes that a standby answered, and those that it did not; codes that the primary was asked for. */
  async function counted(): Promise<Record<'reads' | 'fallbacks' | 'codes' | 'left' | 'asked', number>> {
    const text = await (await server.fetch('/metrics')).text();
    const of = (name: string): number =>
      Number(new RegExp(`^switchyard_${name}_total (\\d+)`, 'm').exec(text)?.[1]);
    return {
      reads: of('standby_reads'),
      fallbacks: of('standby_fallbacks'),
      codes: of('standby_codes'),
      left: of('standby_codes_left'),
      asked: of('resolved_codes'),
    };
  }

  async function create(): Promise<number> {
    named += 1;
    const target = `https://example.com/${named}`;
    const { status, body } = await server.post('/urls', { original_url: target });
    expect(status).toBe(201);
    const { id, short_code: code } = body as { id: number; short_code: string };
    model.set(id, { code, target });
    return id;
  }

  async function update(id: number): Promise<void> {
    named += 1;
    const target = `https://example.com/${named}`;
    expect((await server.send('PUT', `/urls/${id}`, { original_url: target })).status).toBe(200);
    (model.get(id) as Link).target = target;
  }

  /** Where a visitor is led to; the status instead if nowhere. */
  async function visit(code: string): Promise<string> {
    const response = await server.fetch(`/${code}`);
    await response.arrayBuffer();
    return response.headers.get('location') ?? String(response.status);
  }

  async function change(): Promise<void> {
    const id = random.next() < 0.5 ? random.pick([...model.keys()]) : undefined;
    if (id === undefined) {
      const { code, target } = model.get(await create()) as Link;
      expect(await visit(code)).toBe(target);
    } else if (random.next() < 0.7) {
      await update(id);
      const { code, target } = model.get(id) as Link;
      expect(await visit(code)).toBe(target);
    } else {
      expect((await server.fetch(`/urls/${id}`, { method: 'DELETE' })).status).toBeLessThan(300);
      expect(await visit(model.get(id)?.code ?? '')).toBe('404');
      model.delete(id);
    }
  }

  /** Each change is seen at once: by a visitor, alone and in the list. */
  async function keepsUp(steps = STEPS): Promise<void> {
    for (let step = 0; step < steps; step += 1) {
      await change();
      const { body: list } = await server.json('/urls');
      const found = (list as { id: number; original_url: string }[]).map((link) => [
        link.id,
        link.original_url,
      ]);
      const wanted = [...model].map(([id, { target }]) => [id, target] as [number, string]);
      expect(new Map(found as [number, string][])).toEqual(new Map(wanted));
      const [id, link] = random.pick([...model]) ?? [];
      if (link === undefined) continue;
      expect((await server.json(`/urls/${id}`)).body).toMatchObject({ original_url: link.target });
      expect(await visit(link.code)).toBe(link.target);
    }
    // Together: some may be a standby's, and others in the same message the primary's.
    const links = [...model.values()];
    expect(await Promise.all(links.map(({ code }) => visit(code)))).toEqual(
      links.map(({ target }) => target),
    );
  }

  const setLag = async (seconds: number): Promise<void> => {
    await onStandby.query(`ALTER SYSTEM SET recovery_min_apply_delay = '${seconds}s'`);
    await onStandby.query('SELECT pg_reload_conf()');
  };

  it('sees every write that was answered before', async () => {
    await keepsUp();
    const { reads, codes } = await counted();
    expect(reads).toBeGreaterThan(0);
    expect(codes).toBeGreaterThan(0);
    const [row] = await onStandby.query<{ connections: string }>(
      `SELECT count(*) AS connections FROM pg_stat_activity WHERE application_name = 'switchyard standby'`,
    );
    expect(Number(row?.connections)).toBeGreaterThan(0);
  });

  it('counts the clicks that were answered before', async () => {
    const id = await create();
    const { code } = model.get(id) as Link;
    for (let clicks = 1; clicks <= 3; clicks += 1) {
      expect((await server.fetch(`/${code}`)).status).toBe(302);
      // On a busy machine a read may end before the clicks are there, and says so.
      await eventually(async () => {
        const answer = await server.fetch(`/events?url_id=${id}&event_type=click`);
        const events = (await answer.json()) as unknown[];
        return events.length === clicks;
      });
    }
  });

  it('resolves codes that nobody has changed lately, without the primary', async () => {
    const links = [await create(), await create()].map((id) => model.get(id) as Link);
    let before = await counted();
    // Once it has them: until then the primary is asked.
    await eventually(async () => {
      for (const { code, target } of links) expect(await visit(code)).toBe(target);
      const after = await counted();
      const isItsOwn = after.codes >= before.codes + 2 && after.asked === before.asked;
      before = after;
      return isItsOwn;
    });
  });

  it('that lags by seconds answers with nothing old: the primary is asked', async () => {
    await setLag(2);
    try {
      const before = await counted();
      await keepsUp();
      const after = await counted();
      expect(after.fallbacks).toBeGreaterThan(before.fallbacks);
      expect(after.left).toBeGreaterThan(before.left);
      // It resolves links that were changed before that.
      await eventually(async () => {
        for (const { code, target } of model.values()) expect(await visit(code)).toBe(target);
        return (await counted()).codes > after.codes;
      });
    } finally {
      await setLag(0);
    }
  });

  it('that is paused answers with nothing old, and is read from again when it goes on', async () => {
    await onStandby.query('SELECT pg_wal_replay_pause()');
    await keepsUp();
    // A change that was not made here is served once it is heard, and what was before it never again.
    const id = await create();
    const link = model.get(id) as Link;
    await update(id);
    link.target = 'https://example.org/by-hand';
    await onPrimary.query('UPDATE short_urls SET original_url = $1 WHERE id = $2', [link.target, id]);
    const other = model.get(await create()) as Link;
    await eventually(async () => (await visit(link.code)) === link.target);
    for (let visits = 0; visits < 5; visits += 1) {
      expect(await visit(other.code)).toBe(other.target);
      expect(await visit(link.code)).toBe(link.target);
    }
    await onStandby.query('SELECT pg_wal_replay_resume()');
    const { reads } = await counted();
    await eventually(async () => {
      await server.json('/urls');
      return (await counted()).reads > reads;
    });
    await keepsUp();
  });

  it('answers long lists, and pages far behind', async () => {
    await onPrimary.query(
      `INSERT INTO users (username, email) SELECT 'u' || n, n || '@example.com' FROM generate_series(1, ${USERS}) AS n`,
    );
    await eventually(async () => {
      const { reads } = await counted();
      expect(((await server.json('/users')).body as unknown[]).length).toBe(USERS);
      // It is found to be long, and then streamed.
      return (await counted()).reads >= reads + 2;
    });
  });

  it('that gives up a list before its first byte is not noticed', async () => {
    await onPrimary.query('BEGIN');
    // Replayed on the standby, where it is in the way of the list.
    await onPrimary.query('LOCK TABLE users IN ACCESS EXCLUSIVE MODE');
    // It would be sent to the standby seconds later.
    await onPrimary.query('SELECT pg_switch_wal()');
    await eventually(async () => {
      const rows = await onStandby.query(
        `SELECT FROM pg_locks WHERE relation = 'users'::regclass AND mode = 'AccessExclusiveLock'`,
      );
      return rows.length > 0;
    });
    const { fallbacks } = await counted();
    let isOver = false;
    const list = server.json(`/users?page=${USERS / 1000}&per_page=1000`).finally(() => {
      isOver = true;
    });
    const givenUp = eventually(async () => {
      const rows = await onStandby.query(
        `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
           WHERE application_name = 'switchyard standby' AND wait_event_type = 'Lock'`,
      );
      return isOver || rows.length > 0;
    }).finally(() => onPrimary.query('ROLLBACK'));
    await givenUp;
    expect(((await list).body as unknown[]).length).toBe(1000);
    expect((await counted()).fallbacks).toBeGreaterThan(fallbacks);
  });

  it('that does not answer is left, and read from again', async () => {
    line.freeze();
    const began = performance.now();
    const [link] = [...model.values()] as [Link];
    expect(await visit(model.get(await create())?.code ?? '')).toMatch(/^https/);
    expect(await visit(link.code)).toBe(link.target);
    // Half a second, and what a busy machine adds.
    expect(performance.now() - began).toBeLessThan(5000);
    await keepsUp(3);
    line.thaw();
    const { reads, codes } = await counted();
    await eventually(async () => {
      await keepsUp(1);
      const now = await counted();
      return now.reads > reads && now.codes > codes;
    });
  });

  it('that follows another primary from now on says nothing of later changes', async () => {
    const ids = [await create(), await create(), await create()];
    const [state] = await onStandby.query<{ isStandby: boolean }>(
      'SELECT pg_is_in_recovery() AS "isStandby"',
    );
    // Not when it is repeated: it goes its own way already.
    if (state?.isStandby === true) {
      await server.stop();
      follower = await standby.standby(standby.port);
      server = await start(follower.url);
      await eventually(async () => {
        const { codes } = await counted();
        for (const id of ids) await visit(model.get(id)?.code ?? '');
        return (await counted()).codes > codes;
      });
      await standby.promote();
      await onStandby.query(
        `INSERT INTO users (username, email) SELECT 'v' || n, n FROM generate_series(1, 5000) AS n`,
      );
      const onFollower = await follower.connect();
      await eventually(async () => {
        const rows = await onFollower.query(`SELECT FROM users WHERE username = 'v5000'`);
        return rows.length === 1;
      });
      await onFollower.drop();
    }
    for (const id of ids) await update(id);
    for (const id of ids) expect(await visit(model.get(id)?.code ?? '')).toBe(model.get(id)?.target);
    await keepsUp();
  });

  it('that is gone is not missed', async () => {
    await onStandby.drop();
    await standby.kill();
    const { left } = await counted();
    await keepsUp();
    expect((await counted()).left).toBeGreaterThan(left);
  });

  it('is never one that follows another primary, however far its log is', async () => {
    await server.stop();
    await stranger.start();
    const elsewhere = await stranger.connect();
    await elsewhere.query(
      `INSERT INTO users (username, email) SELECT 'u' || n, n || '@example.com' FROM generate_series(1, 20000) AS n`,
    );
    await elsewhere.query('SELECT pg_switch_wal()');
    await elsewhere.drop();
    await follower?.remove();
    follower = await stranger.standby(stranger.port);
    server = await start(follower.url);
    await keepsUp();
    expect(await counted()).toMatchObject({ reads: 0, codes: 0 });
  });
});
