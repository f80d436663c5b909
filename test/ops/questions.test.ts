import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Counters } from '../../src/memory/counters.js';
import { serverMetrics } from '../../src/memory/metric-catalogue.js';
import { LogRing } from '../../src/ops/log-ring.js';
import { Metrics } from '../../src/ops/metrics.js';
import { Questions } from '../../src/ops/questions.js';
import type { ServerReadings } from '../../src/ops/samples.js';

function logRing(max: number, lines: number): LogRing {
  const ring = new LogRing(max);
  for (let line = 0; line < lines; line += 1) {
    const fields = {
      levelname: line % 10 === 0 ? 'ERROR' : 'INFO',
      message: `Line ${line} ${'x'.repeat(200)}`,
    };
    ring.add(JSON.stringify(fields));
  }
  return ring;
}

function answerOf(ring: LogRing, filter: string, level = '', limit = 200): string[] {
  const steps = ring.search({ limit, filter, level });
  for (;;) {
    const step = steps.next();
    if (step.done !== true) continue;
    const { count, logs } = JSON.parse(step.value) as { count: number; logs: { message: string }[] };
    expect(logs).toHaveLength(count);
    return logs.map(({ message }) => message.split(' x')[0] ?? '');
  }
}

describe('the ring of log lines', () => {
  it('keeps the newest, finds text in any case but in no field’s name, oldest first', () => {
    const ring = logRing(100, 250);
    expect(answerOf(ring, '')).toHaveLength(100);
    expect(answerOf(ring, '').at(0)).toBe('Line 150');
    expect(answerOf(ring, 'LINE 24', '', 3)).toEqual(['Line 247', 'Line 248', 'Line 249']);
    expect(answerOf(ring, 'line 149')).toEqual([]);
    expect(answerOf(ring, 'levelname')).toEqual([]);
    expect(answerOf(ring, 'line 2', 'ERROR')).toEqual([
      'Line 200',
      'Line 210',
      'Line 220',
      'Line 230',
      'Line 240',
    ]);
  });

  it('survives lines that come while it is searched', () => {
    const ring = logRing(100, 100);
    const steps = ring.search({ limit: 200, filter: 'line', level: '' });
    steps.next();
    for (let line = 0; line < 95; line += 1) ring.add(JSON.stringify({ message: 'new' }));
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    expect(step.value).not.toContain('new');
    expect((JSON.parse(step.value) as { count: number }).count).toBeLessThan(20);
  });
});

describe('questions to the supervisor', () => {
  const readings = Object.fromEntries(
    Object.keys(serverMetrics).map((key) => [key, () => 0]),
  ) as unknown as ServerReadings;
  const metrics = new Metrics(new Counters(), readings);
  const search = { of: 'logs', limit: 50, filter: 'no such text', level: '' } as const;

  it('leave the thread to others most of the time, however many wait', async () => {
    const questions = new Questions(metrics, logRing(100_000, 100_000));
    let answered = 0;
    for (let count = 0; count < 3; count += 1) {
      questions.ask(search, () => {
        answered += 1;
      });
    }
    // Turns of the event loop that other parts of the thread get before the first search is over.
    let turns = 0;
    while (answered === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      turns += 1;
    }
    expect(turns).toBeGreaterThan(20);
    while (answered < 3) await sleep(5);
    questions.close();
  });

  it('are refused at once when too many wait, and given up when they have waited too long', async () => {
    const questions = new Questions(metrics, logRing(100_000, 100_000), 50);
    const answers: (string | undefined)[] = [];
    for (let count = 0; count < 70; count += 1) questions.ask(search, (body) => answers.push(body));
    expect(answers).toEqual([undefined, undefined, undefined, undefined, undefined, undefined]);
    const deadline = performance.now() + 15_000;
    while (answers.length < 70 && performance.now() < deadline) await sleep(20);
    expect(answers).toHaveLength(70);
    // One search of so many lines takes longer than those behind it may wait.
    expect(answers.filter((body) => body === undefined).length).toBeGreaterThan(60);
    questions.close();
  });
});
