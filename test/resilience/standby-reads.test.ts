import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestDatabase } from '../support/database/database.js';
import { PostgresNode } from '../support/database/replicated-postgres.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { Random, seed } from '../torture/torture.js';

const STEPS = 25;

describeWith('postgres')(`reads from a standby (seed ${seed})`, { timeout: 120_000 }, () => {
  let node: PostgresNode;
  let standby: PostgresNode;
  /** A copy that goes its own way, with a longer log than the primary's. */
  let stranger: PostgresNode;
  let follower: PostgresNode | undefined;
  let onStandby: TestDatabase;
  let server: TestServer;
  const random = new Random('standby');
  /** What every read must find: each link's target, by its id. */
  const model = new Map<number, string>();
  let named = 0;

  beforeAll(async () => {
    node = await PostgresNode.create();
    const first = await startServer({ DATABASE_URL: node.url });
    await first.stop();
    stranger = await node.baseBackup();
    standby = await node.standby(node.port);
    onStandby = await standby.connect();
    server = await start(standby);
  }, 120_000);

  afterAll(async () => {
    await server?.stop();
    await onStandby?.drop();
    for (const one of [standby, follower, stranger, node]) await one?.remove();
  });

  const start = (reads: PostgresNode): Promise<TestServer> =>
    startServer({
      DATABASE_URL: node.url,
      DATABASE_READ_URL: reads.url,
      GATEWAY_THREADS: '1',
      // A busy machine may need longer; what is read is what counts.
      CALL_DEADLINE_MS: '20000',
    });

  async function counted(): Promise<{ reads: number; fallbacks: number }> {
    const text = await (await server.fetch('/metrics')).text();
    const of = (name: string): number =>
      Number(new RegExp(`^switchyard_standby_${name}_total (\\d+)`, 'm').exec(text)?.[1]);
    return { reads: of('reads'), fallbacks: of('fallbacks') };
  }

  async function change(): Promise<void> {
    named += 1;
    const target = `https://example.com/${named}`;
    const [id] = random.next() < 0.5 ? [random.pick([...model.keys()])] : [];
    if (id === undefined) {
      const { status, body } = await server.post('/urls', { original_url: target });
      expect(status).toBe(201);
      model.set((body as { id: number }).id, target);
    } else if (random.next() < 0.7) {
      expect((await server.send('PUT', `/urls/${id}`, { original_url: target })).status).toBe(200);
      model.set(id, target);
    } else {
      expect((await server.fetch(`/urls/${id}`, { method: 'DELETE' })).status).toBeLessThan(300);
      model.delete(id);
    }
  }

  /** Each change is read at once, alone and in the list. */
  async function keepsUp(): Promise<void> {
    for (let step = 0; step < STEPS; step += 1) {
      await change();
      const { body: list } = await server.json('/urls');
      const found = (list as { id: number; original_url: string }[]).map((link) => [
        link.id,
        link.original_url,
      ]);
      expect(new Map(found as [number, string][])).toEqual(model);
      const [id, target] = random.pick([...model]) ?? [];
      if (id !== undefined)
        expect((await server.json(`/urls/${id}`)).body).toMatchObject({ original_url: target });
    }
  }

  it('sees every write that was answered before', async () => {
    await keepsUp();
    expect((await counted()).reads).toBeGreaterThan(0);
    const [row] = await onStandby.query<{ connections: string }>(
      `SELECT count(*) AS connections FROM pg_stat_activity WHERE application_name = 'switchyard standby'`,
    );
    expect(Number(row?.connections)).toBeGreaterThan(0);
  });

  it('counts the clicks that were answered before', async () => {
    const { body } = await server.post('/urls', { original_url: 'https://example.com/clicked' });
    const { id, short_code: code } = body as { id: number; short_code: string };
    model.set(id, 'https://example.com/clicked');
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

  it('that lags by seconds answers with nothing old: the primary is asked', async () => {
    await onStandby.query(`ALTER SYSTEM SET recovery_min_apply_delay = '5s'`);
    await onStandby.query('SELECT pg_reload_conf()');
    const before = await counted();
    await keepsUp();
    expect((await counted()).fallbacks).toBeGreaterThan(before.fallbacks);
    await onStandby.query('ALTER SYSTEM RESET recovery_min_apply_delay');
    await onStandby.query('SELECT pg_reload_conf()');
  });

  it('that is paused answers with nothing old, and is read from again when it goes on', async () => {
    await onStandby.query('SELECT pg_wal_replay_pause()');
    await keepsUp();
    await onStandby.query('SELECT pg_wal_replay_resume()');
    const { reads } = await counted();
    await eventually(async () => {
      await server.json('/urls');
      return (await counted()).reads > reads;
    });
    await keepsUp();
  });

  it('that is gone is not missed', async () => {
    await onStandby.drop();
    await standby.kill();
    await keepsUp();
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
    follower = await stranger.standby(stranger.port);
    server = await start(follower);
    await keepsUp();
    expect((await counted()).reads).toBe(0);
  });
});
