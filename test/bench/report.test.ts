import { describe, expect, test } from 'vitest';
import { parseMetrics } from '../../bench/arms/switchyard.js';
import { parseOptions } from '../../bench/options.js';
import { htmlReport } from '../../bench/report/html.js';
import { markdownReport } from '../../bench/report/markdown.js';
import { type BenchResults, errorsIn, isMet, type Measure, marginOf } from '../../bench/report/results.js';
import { describeScenario, figure } from '../../bench/report/text.js';
import { compareArms, runRounds } from '../../bench/rounds.js';
import { parseSummary } from '../../bench/system-calls.js';

function measure(perSecond: number, cpuMicros: number, errors = 0): Measure {
  return {
    perSecond,
    cpuMicros,
    busiestMicros: cpuMicros,
    databaseMicros: 0,
    peakBytes: 2 ** 20,
    errors,
    latency: [
      [0.5, 0.3],
      [0.99, 1],
      [0.999, 2],
    ],
  };
}

function results(errors = 0, rounds = 5): BenchResults {
  const often = (one: Measure): Measure[] => Array.from({ length: rounds }, () => one);
  const arms = [
    { name: 'bare', about: 'a <bare> server', first: often(measure(100, 5)), twin: often(measure(102, 5)) },
    {
      name: 'switchyard',
      about: 'ours',
      first: often(measure(90, 6)),
      twin: [...often(measure(91, 6)).slice(1), measure(91, 6, errors)],
    },
  ];
  return {
    started: '2026-01-31T12-00-00',
    revision: 'abcdef0',
    commandLine: 'npm run bench -- redirect-hit',
    isQuick: false,
    rounds,
    generator: 'wrk',
    machine: { cpu: 'a CPU', cores: 2, memoryBytes: 2 ** 33, kernel: 'Linux 6', node: 'v20', postgres: '17' },
    scenarios: [
      {
        name: 'redirect-hit',
        title: 'Redirects & hits',
        unit: 'requests',
        parameters: { connections: 64 },
        arms,
        comparisons: compareArms(arms),
        targets: [{ text: 'CPU', value: 1.2, limit: 1.1, kind: 'at most', unit: '×' }],
        facts: [{ label: 'journal', value: 6.5, unit: 'bytes a click' }],
        timelines: [
          {
            title: 'lag',
            unit: 's',
            series: [
              {
                name: 'behind',
                points: [
                  [0, 0],
                  [1, 2],
                ],
              },
            ],
          },
        ],
        notes: ['a note with a <tag>'],
        unitCosts: {},
      },
    ],
  };
}

describe('the HTML report', () => {
  const html = htmlReport(results());

  test('is one file that loads nothing', () => {
    expect(html).not.toMatch(/<script|<link|src=|href=|url\(/);
    expect(html).not.toMatch(/https?:\/\//);
  });

  test('has bars, a latency curve and a time line, each whole', () => {
    expect(html.match(/<svg /g)).toHaveLength(4);
    expect(html.match(/<\/svg>/g)).toHaveLength(4);
    expect(html).toContain('Throughput');
    expect(html).toContain('Server CPU');
    expect(html).toContain('Latency by percentile');
    expect(html).not.toContain('NaN');
  });

  test('shows text as text', () => {
    expect(html).toContain('a note with a &lt;tag&gt;');
    expect(html).toContain('Redirects &amp; hits');
    expect(html).not.toContain('<bare>');
  });

  test('gives no verdict after fewer than five rounds', () => {
    const text = markdownReport(results(0, 4));
    expect(text).toContain('| redirect-hit | CPU | 1.20 × | ≤ 1.10 × | no verdict, fewer than five rounds |');
    expect(text).not.toMatch(/met by|missed|better|worse/i);
  });

  test('says that a run with errors is void', () => {
    expect(html).not.toContain('Void');
    expect(htmlReport(results(3))).toContain('Void: 3 errors');
  });

  test('does without arms', () => {
    const [scenario] = results().scenarios;
    if (scenario === undefined) throw new Error('no scenario');
    const empty = { ...scenario, arms: [], comparisons: [], timelines: [] };
    expect(htmlReport({ ...results(), scenarios: [empty] })).not.toContain('NaN');
  });
});

describe('the terminal', () => {
  test('shows a table, and each target with how far it was missed', () => {
    const [scenario] = results().scenarios;
    if (scenario === undefined) throw new Error('no scenario');
    const text = describeScenario(scenario);
    expect(text).toMatch(/requests\/s/);
    expect(text).toMatch(/CPU: 1\.20 × \(target ≤ 1\.10 ×\): MISSED by 9\.1 %/);
    expect(text).not.toContain('VOID');
    expect(errorsIn(scenario)).toBe(0);
  });

  test('numbers have as many digits as their size deserves', () => {
    expect([figure(123_456.7), figure(12.34), figure(1.234), figure(0.01234), figure(Number.NaN)]).toEqual([
      '123,457',
      '12.3',
      '1.23',
      '0.012',
      '–',
    ]);
  });
});

test('targets are met at their limit, and margins tell on which side', () => {
  const atMost = { text: '', limit: 10, kind: 'at most', unit: '' } as const;
  const atLeast = { text: '', limit: 10, kind: 'at least', unit: '' } as const;
  expect([isMet({ ...atMost, value: 10 }), isMet({ ...atMost, value: 11 })]).toEqual([true, false]);
  expect([isMet({ ...atLeast, value: 10 }), isMet({ ...atLeast, value: 9 })]).toEqual([true, false]);
  expect(marginOf({ ...atMost, value: 8 })).toBeCloseTo(0.2);
  expect(marginOf({ ...atLeast, value: 8 })).toBeCloseTo(-0.2);
});

test('arms and twins take turns, each round beginning with the next', async () => {
  const order: string[] = [];
  const arm = (name: string) => ({
    name,
    about: '',
    measure: async (instance: 'first' | 'twin') => {
      order.push(instance === 'twin' ? `${name}'` : name);
      return measure(1, 1);
    },
  });
  const done = await runRounds([arm('a'), arm('b')], { rounds: 3, onStep: () => undefined });
  expect(order.join(' ')).toBe("a b a' b' b a' b' a a' b' a b");
  expect(done.map(({ first, twin }) => [first.length, twin.length])).toEqual([
    [3, 3],
    [3, 3],
  ]);
});

test('options name scenarios, a revision to compare with, and are checked', () => {
  expect(parseOptions(['redirect-hit', '--quick']).scenarios).toEqual(['redirect-hit']);
  const compare = parseOptions(['compare', 'main', 'shorten', '--rounds', '7']);
  expect([compare.compareWith, compare.scenarios, compare.rounds]).toEqual(['main', ['shorten'], 7]);
  expect(() => parseOptions(['compare'])).toThrow('compare needs a revision');
  expect(() => parseOptions(['--rounds', 'x'])).toThrow('--rounds');
  expect(() => parseOptions(['--generator', 'siege'])).toThrow('wrk or autocannon');
});

test("the server's metrics are read by name and labels", () => {
  const text = '# HELP a x\na_total 5\nb{route="/:short_code",status="302"} 1e3\n';
  expect([...parseMetrics(text)]).toEqual([
    ['a_total', 5],
    ['b{route="/:short_code",status="302"}', 1000],
  ]);
});

test("strace's table is read with and without errors", () => {
  const text = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           2       250           epoll_pwait
 40.00    0.000400           1       251         1 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           1       501         1 total
`;
  expect([...parseSummary(text)]).toEqual([
    ['epoll_pwait', 250],
    ['recvfrom', 251],
  ]);
});

describe('the Markdown report', () => {
  test('says of each target whether it was met, and how far off it is', () => {
    const text = markdownReport(results());
    expect(text).toContain('| redirect-hit | CPU | 1.20 × | ≤ 1.10 × | missed by 9.1 % |');
    expect(text).toMatch(/^\| arm \| requests\/s \|/m);
    expect(text).toMatch(/^\| switchyard \| 90\.5 \|/m);
    expect(text).toContain('- journal: 6.50 bytes a click');
    expect(text).not.toContain('Void');
  });

  test('gives no verdict after fewer than five rounds', () => {
    const text = markdownReport(results(0, 4));
    expect(text).toContain('| redirect-hit | CPU | 1.20 × | ≤ 1.10 × | no verdict, fewer than five rounds |');
    expect(text).not.toMatch(/met by|missed|better|worse/i);
  });

  test('says that a run with errors is void', () => {
    expect(markdownReport(results(3))).toContain('**Void: 3 errors.**');
  });
});
