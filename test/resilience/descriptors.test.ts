import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeLink, openJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { freePort } from '../support/server/program.js';
import { startServer, type TestServer, withDescriptors } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

let database: TestDatabase;
const sockets: Socket[] = [];

beforeAll(async () => {
  database = await createDatabase();
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

afterAll(() => database?.drop());

/** Connections that say nothing. */
function crowd(port: number, count: number): Socket[] {
  const made = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  sockets.push(...made);
  return made;
}

async function metric(server: TestServer, name: string): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

/** Seconds of CPU, by the kernel's clock ticks. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

describe.runIf(process.platform === 'linux')('a limit of descriptors', () => {
  it('of 64, met in the middle of the ingest of an adopted journal, delays it and no more', async () => {
    const folder = makeFolder('descriptors');
    const dead = path.join(folder, 'journal', randomUUID());
    mkdirSync(dead, { recursive: true });
    const [link] = await database.query<{ id: string }>(
      `INSERT INTO short_urls (id, original_url, short_code, created_at)
       VALUES (1000, 'https://example.com/', 'c1000', '2026-01-01') RETURNING id`,
    );
    const id = Number(link?.id);
    const { journal, journalId } = openJournal(dead, { segmentBytes: 4096 });
    for (let turn = 0; turn < 60; turn += 1) {
      for (let count = 0; count < 50; count += 1) journal.record(makeLink(id));
      journal.flush();
    }
    journal.close();
    const server = await startServer({
      DATABASE_URL: database.url,
      DATA_DIR: folder,
      CLICK_INGEST_BATCH: '100',
      GATEWAY_THREADS: '1',
    });
    const clicks = async (): Promise<number> => {
      const rows = await database.query<{ n: string }>(
        `SELECT count(*) AS n FROM events WHERE url_id = $1 AND event_type = 'click'`,
        [id],
      );
      return Number(rows[0]?.n);
    };
    await eventually(async () => (await clicks()) > 200);
    const limit = (soft: number): unknown =>
      execFileSync('prlimit', ['--pid', String(server.pid), `--nofile=${soft}:`]);
    // The ingest waits in its middle, however fast the machine is, until the limit is set.
    await database.client.query('BEGIN');
    await database.query('SELECT FROM journal_checkpoints WHERE journal_id = $1 FOR UPDATE', [journalId]);
    // Those that are free below the limit are taken, so that the next one is refused.
    crowd(server.port, 64);
    limit(64);
    await database.client.query('COMMIT');
    expect(await clicks()).toBeLessThan(3000);
    await eventually(() => server.logs.some(({ message }) => message.includes('EMFILE')));
    const checkpoint = 'SELECT clicks FROM journal_checkpoints WHERE journal_id = $1';
    expect(await database.query(checkpoint, [journalId])).toHaveLength(1);
    limit(1024);
    await eventually(async () => (await clicks()) >= 3000, 50_000);
    expect(await clicks()).toBe(3000);
    await eventually(() => !existsSync(dead));
    expect(await database.query(checkpoint, [journalId])).toEqual([]);
    expect(await metric(server, 'switchyard_ingest_failures_total')).toBeGreaterThan(0);
    expect(await metric(server, 'switchyard_clicks_lost_total')).toBe(0);
    expect(await server.stop()).toBe(0);
    rmSync(folder, { recursive: true, force: true });
  });

  it('of 160 is kept: 320 connections in the moment the port opens, and all goes on', async () => {
    const port = await freePort();
    let isStarted = false;
    const burst = (async () => {
      // Those that find the port closed are gone at once.
      while (!isStarted) {
        crowd(port, 320);
        await sleep(50);
      }
    })();
    const server = await startServer({
      DATABASE_URL: database.url,
      PORT: String(port),
      GATEWAY_THREADS: '1',
      CLICK_JOURNAL_SEGMENT_MS: '200',
      ...withDescriptors(160),
    });
    isStarted = true;
    await burst;
    crowd(port, 320);
    // Those that may stay do, the others are closed.
    await eventually(() => sockets.filter((socket) => !socket.destroyed).length < 160);
    const descriptors = readdirSync(`/proc/${server.pid}/fd`).length;
    expect(descriptors).toBeLessThan(160);
    // Full as it is, it neither spins nor ends.
    const before = cpuSeconds(server.pid);
    await sleep(2000);
    expect(cpuSeconds(server.pid) - before).toBeLessThan(1);
    for (const socket of sockets.splice(0)) socket.destroy();
    await eventually(async () => (await server.fetch('/health').catch(() => undefined))?.status === 200);
    expect(await metric(server, 'switchyard_connections_refused_total')).toBeGreaterThan(0);
    const max = await metric(server, 'switchyard_connections_max');
    const url = await createUrl(server);
    for (let round = 1; round <= 5; round += 1) {
      for (let count = 0; count < 20; count += 1) await click(server, url.short_code);
      crowd(server.port, 320);
      await sleep(200);
      for (const socket of sockets.splice(0)) socket.destroy();
      await eventually(async () => (await server.fetch('/health').catch(() => undefined))?.status === 200);
    }
    let counted = 0;
    await eventually(
      async () => {
        const [row] = await database.query<{ n: string }>(
          `SELECT count(*) AS n FROM events WHERE url_id = $1 AND event_type = 'click'`,
          [url.id],
        );
        counted = Number(row?.n);
        return counted === 100;
      },
      40_000,
      () => `100 clicks in the database (there are ${counted})`,
    );
    expect(await metric(server, 'switchyard_connections')).toBeLessThanOrEqual(max);
    expect(await metric(server, 'switchyard_clicks_lost_total')).toBe(0);
    expect(await metric(server, 'switchyard_ingest_failures_total')).toBe(0);
    expect(await server.stop()).toBe(0);
    expect(server.logs.some(({ message }) => message.startsWith('connections are refused'))).toBe(true);
  });
});
