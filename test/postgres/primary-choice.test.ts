import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Primary } from '../../src/memory/primary.js';
import { choosePrimary, type HostState } from '../../src/postgres/primary-choice.js';

const asked: HostState = { kind: 'asked' };
const silent: HostState = { kind: 'silent', error: new Error('no answer') };
const standby = (system = '1'): HostState => ({
  kind: 'answers',
  role: { isWritable: false, system, timeline: undefined },
});
const writable = (timeline: number | undefined, system: string | undefined = '1'): HostState => ({
  kind: 'answers',
  role: { isWritable: true, system, timeline },
});
const seen = (timeline: number): { system: string; timeline: number } => ({ system: '1', timeline });

describe('of several hosts', () => {
  it.each([
    ['the writable one', [standby(), writable(1)], undefined, undefined, 1],
    ['the one on the highest timeline', [writable(1), writable(2)], seen(1), 0, 1],
    [
      'none while one that may be higher has time to answer',
      [writable(1), asked],
      undefined,
      undefined,
      undefined,
    ],
    ['the present one meanwhile', [writable(1), asked], seen(1), 0, 0],
    [
      'none where all that answer are older than what was seen',
      [writable(1), silent],
      seen(2),
      undefined,
      undefined,
    ],
    ['none where all are standbys or silent', [standby(), silent], undefined, 0, undefined],
    ['the first of two alike', [writable(1), writable(1)], undefined, undefined, 0],
    ['the present one of two alike', [writable(1), writable(1)], undefined, 1, 1],
    [
      'none of another system while the known one answers',
      [standby(), writable(9, '2')],
      seen(1),
      undefined,
      undefined,
    ],
    [
      'another system where nothing of the known one answers',
      [silent, writable(1, '2')],
      seen(7),
      undefined,
      1,
    ],
    [
      'one that lets nobody ask who it is',
      [standby(), writable(undefined, undefined)],
      undefined,
      undefined,
      1,
    ],
  ] as const)('%s is written to', (_, states, last, current, expected) => {
    expect(choosePrimary(states, last, current).host).toBe(expected);
  });

  it('each has its place', () => {
    const states = [writable(1), writable(2), standby(), silent];
    expect(choosePrimary(states, seen(1), 0).places).toEqual(['stale', 'primary', 'standby', 'silent']);
    expect(choosePrimary([writable(1), silent], seen(2), undefined).places).toEqual(['stale', 'silent']);
  });

  it('none is ever chosen that another one, or the past, has left behind', () => {
    const state = fc.oneof(
      fc.constantFrom(asked, silent, standby()),
      fc.integer({ min: 1, max: 4 }).map((timeline) => writable(timeline)),
    );
    const last = fc.option(fc.integer({ min: 1, max: 4 }).map(seen), { nil: undefined });
    fc.assert(
      fc.property(
        fc.array(state, { minLength: 2, maxLength: 5 }),
        last,
        fc.nat(4),
        (states, before, current) => {
          const { host } = choosePrimary(states, before, current);
          if (host === undefined) return;
          const timelines = states.map((one) => (one.kind === 'answers' ? (one.role.timeline ?? 0) : 0));
          expect(timelines[host]).toBe(Math.max(...timelines));
          expect(timelines[host]).toBeGreaterThanOrEqual(before?.timeline ?? 0);
        },
      ),
    );
  });
});

describe('what threads know of the primary', () => {
  it('begins a new generation with each change, and with none else', () => {
    const primary = new Primary();
    const others = new Primary(primary.buffer);
    expect(primary.set(2, '18446744073709551615', 3)).toBe(true);
    const known = others.read();
    expect(known).toMatchObject({ host: 2, system: '18446744073709551615', timeline: 3 });
    expect(primary.set(2, '18446744073709551615', 3)).toBe(false);
    expect(others.generation).toBe(known.generation);
    primary.clear();
    expect(others.read()).toMatchObject({ host: -1, system: '', timeline: 0 });
    expect(others.generation).toBeGreaterThan(known.generation);
  });
});
