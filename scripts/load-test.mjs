// `node scripts/load-test.mjs <folder of stack.mjs> <k6 script> [k6 options…]`: runs a k6 script against
// a stack, and tells what k6 can't see: the CPU time of each part, what Prometheus has of the time, and
// whether the database counted as many clicks as redirects were answered. K6 names the program.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const [folder = '', script = '', ...options] = process.argv.slice(2);
if (script === '' || folder.startsWith('-')) {
  const isHelp = folder === '--help';
  console[isHelp ? 'log' : 'error'](
    'usage: node scripts/load-test.mjs <folder of stack.mjs> <k6 script> [k6 options…]',
  );
  process.exit(isHelp ? 0 : 2);
}
const stack = JSON.parse(readFileSync(path.join(folder, 'stack.json'), 'utf8'));

/** CPU seconds so far, by part of the stack. */
function cpu() {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => statOf(pid) ?? []);
  const isBelow = (one, pid) => {
    if (one.parent === pid) return true;
    const parent = processes.find((other) => other.pid === one.parent);
    return parent !== undefined && isBelow(parent, pid);
  };
  const sum = (filter) => processes.filter(filter).reduce((total, { seconds }) => total + seconds, 0);
  const named = (name) => sum((one) => one.name === name && isBelow(one, stack.pid));
  const [, ...all] = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).map(Number);
  const postmaster = Number(
    readFileSync(path.join(stack.databaseFolder, 'cluster/postmaster.pid'), 'utf8').split('\n')[0],
  );
  return {
    server: named('node'),
    nginx: named('nginx'),
    postgresql: sum((one) => one.pid === postmaster || isBelow(one, postmaster)),
    prometheus:
      named('prometheus') + named('prometheus-nginx'.slice(0, 15)) + named('prometheus-alert'.slice(0, 15)),
    // User, nice, system, irq, softirq; without idle, waiting and stolen time.
    machine: (all[0] + all[1] + all[2] + all[5] + all[6]) / 100,
    stolen: all[7] / 100,
  };
}

/** From /proc/<pid>/stat, in ticks of 10 ms; with the children that it has waited for. */
function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((total, field) => total + Number(field), 0);
    return {
      pid: Number(pid),
      name: text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')),
      parent: Number(fields[1]),
      seconds: ticks / 100,
    };
  } catch {
    return undefined;
  }
}

async function ask(expression) {
  const query = new URLSearchParams({ query: expression });
  const { data } = await (await fetch(`${stack.prometheus}/api/v1/query?${query}`)).json();
  const values = (data?.result ?? []).map(({ value }) => Number(value[1]));
  return values.length === 0 ? undefined : Math.max(...values);
}

/** A counter of all replicas together, from the servers themselves. */
async function total(pattern) {
  const texts = await Promise.all(
    stack.replicas.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()),
  );
  return texts
    .flatMap((text) => [...text.matchAll(pattern)])
    .reduce((sum, match) => sum + Number(match[1]), 0);
}
const redirects = () => total(/^http_requests_total\{method="GET",route="[^"]+",status="302"\} (\d+)$/gm);
const lost = () => total(/^switchyard_clicks_lost_total (\d+)$/gm);

const database = new pg.Client(stack.databaseUrl);
await database.connect();
const clicks = async () => {
  const { rows } = await database.query(
    `SELECT count(*)::int AS clicks FROM events WHERE event_type = 'click'`,
  );
  return rows[0].clicks;
};

const before = {
  cpu: cpu(),
  k6: process.resourceUsage(),
  redirects: await redirects(),
  clicks: await clicks(),
  ms: Date.now(),
};
const k6 = spawn(
  process.env.K6 ?? 'k6',
  ['run', '--quiet', '-e', `BASE_URL=${stack.url}`, ...options, script],
  {
    stdio: 'inherit',
  },
);
const samples = [];
const timer = setInterval(() => samples.push(statOf(k6.pid)?.seconds ?? 0), 200);
const code = await new Promise((resolve) => k6.once('close', resolve));
clearInterval(timer);
const seconds = (Date.now() - before.ms) / 1000;
const after = cpu();

const answered = (await redirects()) - before.redirects;
let counted = (await clicks()) - before.clicks;
const waitMs = Date.now();
while (counted < answered && Date.now() - waitMs < 60_000) {
  await sleep(100);
  counted = (await clicks()) - before.clicks;
}
const waitedSeconds = ((Date.now() - waitMs) / 1000).toFixed(1);
const wrong = await database.query(
  `SELECT count(*)::int AS links FROM short_urls AS u
   WHERE click_count <> (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click')`,
);
await database.end();

const window = `[${Math.ceil(seconds)}s:5s]`;
const row = (name, value, unit = '') => console.log(`  ${name.padEnd(34)} ${value}${unit}`);
const used = (part) => ((after[part] - before.cpu[part]) / seconds).toFixed(2);
console.log(`what the stack says of these ${seconds.toFixed(0)} s\n`);
row('redirects answered (302)', answered);
row('clicks in the database since', counted, `, the last ${waitedSeconds} s after k6`);
row('clicks lost', await lost());
row('links with a wrong counter', wrong.rows[0].links);
row('cores: server', used('server'));
row('cores: Nginx', used('nginx'));
row('cores: PostgreSQL', used('postgresql'));
row('cores: Prometheus and others', used('prometheus'));
row('cores: k6', (Math.max(0, ...samples) / seconds).toFixed(2));
row('cores: the machine, all programs', used('machine'));
row('cores: stolen by the hypervisor', used('stolen'));
for (const [name, expression] of [
  ['busiest gateway, 30 s', `max_over_time(switchyard:gateway_busy:max30s${window})`],
  ['redirects/s, 1 min', `max_over_time(sum(switchyard:redirects:rate1m)${window})`],
  ['redirect p99 by the server, s', `max_over_time(switchyard:redirect_seconds:p99_1m${window})`],
  ['cache hit ratio, 1 min, at the end', 'min(switchyard:cache_hits:ratio1m)'],
  ['ingest behind at most, s', `max_over_time(max(switchyard_ingest_behind_seconds)${window})`],
  ['calls waiting for a connection', `max_over_time(max(switchyard_pool_waiting)${window})`],
  [
    'resident memory of a server, MB',
    `max_over_time(max(process_resident_memory_bytes{job="switchyard"})${window}) / 1e6`,
  ],
]) {
  const value = await ask(expression);
  row(name, value === undefined ? '-' : Number(value.toPrecision(3)));
}
process.exitCode = code !== 0 ? code : counted === answered && wrong.rows[0].links === 0 ? 0 : 1;
