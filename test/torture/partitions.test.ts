import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { type Load, startLoad } from '../support/clients/load.js';
import { createDatabase, type TestDatabase, urlOf } from '../support/database/database.js';
import { describeWithNetworks, Host, type Side } from '../support/machine/network.js';
import { describeWith, locate } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { onHost, startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';
import { Nginx } from '../support/stack/nginx.js';
import { Random, report, rounds, Seen, seed, settled, timeout, totalOf } from './torture.js';

const HOSTS = 3;
const LINKS = 24;
const CONNECTIONS = 6;
const PORT = 5000;
/** Within which a connected server knows of a change made by another. */
const COHERENCE_MS = 1000;

const describeHere = locate('nginx') === undefined ? describeWith('nginx') : describeWithNetworks();

/** Three servers, each on a host of its own, one database, and Nginx, which sends each link to one of them. */
class Fleet {
  readonly nginx: Nginx;
  readonly codes: readonly string[];
  readonly #hosts: readonly Host[];
  readonly #servers: readonly TestServer[];
  /** Visits that did not come by Nginx, by code. */
  readonly direct = new Map<string, number>();
  readonly load: Load;

  private constructor(hosts: readonly Host[], servers: readonly TestServer[], nginx: Nginx, codes: string[]) {
    this.#hosts = hosts;
    this.#servers = servers;
    this.nginx = nginx;
    this.codes = codes;
    this.load = untilEnd(startLoad(nginx.port, codes, CONNECTIONS, 5));
  }

  static async start(database: TestDatabase): Promise<Fleet> {
    const hosts: Host[] = [];
    for (let number = 0; number < HOSTS; number += 1)
      hosts.push(untilEnd(await Host.make(database.address.port)));
    const servers = await Promise.all(
      hosts.map(async (host) =>
        untilEnd(
          await startServer({
            ...onHost(host),
            PORT: String(PORT),
            GATEWAY_THREADS: '1',
            DATABASE_URL: urlOf({ ...database.address, host: host.databaseHost }),
          }),
        ),
      ),
    );
    const codes: string[] = [];
    for (let count = 0; count < LINKS; count += 1)
      codes.push((await createUrl(servers[0] as TestServer)).short_code);
    const nginx = untilEnd(
      await Nginx.start(
        hosts.map(({ address }) => `${address}:${PORT}`),
        { NGINX_BALANCE: 'hash $balance_key consistent;' },
      ),
    );
    return new Fleet(hosts, servers, nginx, codes);
  }

  cut(host: number, sides: readonly Side[]): void {
    for (const side of sides) this.#hosts[host]?.cut(side);
  }

  heal(host: number, sides: readonly Side[]): void {
    for (const side of sides) this.#hosts[host]?.heal(side);
  }

  /** Follows a link at one server, past Nginx. @returns its target. */
  async visit(host: number, code: string): Promise<string> {
    const target = await click(this.#servers[host] as TestServer, code);
    this.direct.set(code, (this.direct.get(code) ?? 0) + 1);
    return target;
  }

  async visitAll(host: number): Promise<void> {
    await Promise.all(this.codes.map((code) => this.visit(host, code)));
  }

  async change(host: number, code: string, target: string): Promise<void> {
    const server = this.#servers[host] as TestServer;
    const [link] = (await server.get(`/urls?short_code=${code}`)) as { id: number }[];
    const { status } = await server.send('PUT', `/urls/${link?.id}`, { original_url: target });
    expect(status).toBe(200);
  }

  async metric(host: number, name: string): Promise<number> {
    const text = await (await (this.#servers[host] as TestServer).fetch('/metrics')).text();
    const lines = text.matchAll(new RegExp(`^switchyard_${name}(?:\\{[^}]*\\})? (\\d+)$`, 'gm'));
    return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
  }

  isCoherent(host: number): Promise<boolean> {
    return this.metric(host, 'cache_coherent').then((value) => value === 1);
  }

  /** So many redirects more, by Nginx. */
  async more(count: number): Promise<void> {
    const before = this.load.total();
    await eventually(() => this.load.total() >= before + count, 60_000, `${count} redirects by Nginx`);
  }

  /**
   * How often Nginx asked a second server because a first one did not answer in time: that one may have counted
   * the visit all the same.
   */
  repeated(): Map<string, number> {
    const repeated = new Map<string, number>();
    for (const { uri, upstream_status: statuses } of this.nginx.log()) {
      const earlier = statuses.split(/ : |, /).slice(0, -1);
      const unknown = earlier.filter((status) => status !== '503').length;
      const code = uri.slice(1);
      if (unknown > 0) repeated.set(code, (repeated.get(code) ?? 0) + unknown);
    }
    return repeated;
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) expect(await server.stop()).toBe(0);
  }
}

describeHere(`three servers behind Nginx on hosts of their own (seed ${seed})`, () => {
  const times = rounds(1, 12);

  it(
    `cut off from the database, from Nginx and from both, ${times} times: every click once`,
    timeout(times, 60),
    async () => {
      const random = new Random('partitions');
      const database = await createDatabase();
      onTestFinished(() => database.drop());
      const fleet = await Fleet.start(database);
      const { codes } = fleet;
      let version = 0;

      /** The target of a link changes at one server; those that are connected send nobody to the old one. */
      const changeAt = async (
        writer: number,
        connected: readonly number[],
      ): Promise<[code: string, target: string]> => {
        version += 1;
        const [code, target] = [random.pick(codes), `https://example.com/changed/${version}`];
        for (const host of connected) await fleet.visit(host, code);
        await fleet.change(writer, code, target);
        expect(await fleet.visit(writer, code)).toBe(target);
        await sleep(COHERENCE_MS);
        for (const host of connected) expect(await fleet.visit(host, code)).toBe(target);
        return [code, target];
      };
      const reconnects = async (host: number): Promise<void> => {
        await eventually(() => fleet.isCoherent(host), 30_000, `server ${host} connected again`);
      };

      const phases: Readonly<
        Record<string, (lost: number, others: readonly [number, number]) => Promise<void>>
      > = {
        database: async (lost, others) => {
          await fleet.visitAll(lost);
          fleet.cut(lost, ['database']);
          await eventually(async () => !(await fleet.isCoherent(lost)), 30_000, 'the cut noticed');
          const [code, target] = await changeAt(others[0], others);
          // What it has cached is redirected, where it led when it was last heard of.
          await fleet.visitAll(lost);
          await fleet.more(200);
          fleet.heal(lost, ['database']);
          await reconnects(lost);
          expect(await fleet.visit(lost, code)).toBe(target);
        },
        proxy: async (lost, others) => {
          fleet.cut(lost, ['proxy']);
          await fleet.more(200);
          await changeAt(others[0], others);
          fleet.heal(lost, ['proxy']);
          const hits = await eventually(() => fleet.metric(lost, 'cache_hits_total'));
          await eventually(
            async () => (await fleet.metric(lost, 'cache_hits_total')) > hits + 20,
            30_000,
            'its share of visits',
          );
        },
        both: async (lost, others) => {
          fleet.cut(lost, ['database', 'proxy']);
          await fleet.more(200);
          const [code, target] = await changeAt(others[0], others);
          await sleep(random.between(0, 1500));
          fleet.heal(lost, ['database', 'proxy']);
          await reconnects(lost);
          expect(await fleet.visit(lost, code)).toBe(target);
        },
      };

      for (const host of [0, 1, 2]) await fleet.visitAll(host);
      for (let round = 0; round < times; round += 1) {
        for (const phase of Object.keys(phases)) {
          const lost = random.between(0, HOSTS - 1);
          const others = [0, 1, 2].filter((host) => host !== lost) as [number, number];
          await phases[phase]?.(lost, others);
          await fleet.more(100);
        }
      }
      await fleet.load.stop();
      const seen = new Seen();
      seen.add(fleet.load);
      const repeated = fleet.repeated();
      const answered = (code: string): number => seen.of(code) + (fleet.direct.get(code) ?? 0);
      const total = codes.reduce((sum, code) => sum + answered(code), 0);
      await settled(database, total);
      await fleet.stop();
      const counted = await settled(database, total);
      const unsure = [...repeated.values()].reduce((sum, count) => sum + count, 0);
      report({
        run: 'three servers behind Nginx, cut off from the database, from Nginx and from both',
        faults: times * 3,
        redirects: total,
        unknown: unsure,
        clicks: totalOf(counted),
        lost: Math.max(0, total - totalOf(counted)),
        twice: Math.max(0, totalOf(counted) - total - unsure),
      });
      expect([...seen.statuses]).toEqual([302]);
      for (const code of codes) {
        const { counter = 0, events = 0 } = counted.get(code) ?? {};
        expect([code, events]).toEqual([code, counter]);
        // A visit that Nginx repeated may have been counted by the server whose answer was lost, too.
        expect(counter).toBeGreaterThanOrEqual(answered(code));
        expect(counter).toBeLessThanOrEqual(answered(code) + (repeated.get(code) ?? 0));
      }
    },
  );
});
