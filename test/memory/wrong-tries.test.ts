import { describe, expect, it } from 'vitest';
import { MinuteTable } from '../../src/memory/minute-table.js';
import { WrongTries } from '../../src/memory/wrong-tries.js';

const NOW = Date.UTC(2026, 0, 1);

function tryWrong(tries: WrongTries, key: string, nowMs: number): unknown {
  const admission = tries.begin(key, nowMs);
  if (admission === 'go') tries.end(key, nowMs, true);
  return admission;
}

describe('wrong tries at a password', () => {
  it('are ten a minute, in every thread that has the memory', () => {
    const memory = MinuteTable.allocate();
    const one = new WrongTries(10, memory);
    const other = new WrongTries(10, memory);
    for (let count = 0; count < 5; count += 1) {
      expect(tryWrong(one, 'link|client', NOW)).toBe('go');
      expect(tryWrong(other, 'link|client', NOW + 20_000)).toBe('go');
    }
    expect(one.begin('link|client', NOW + 20_000)).toEqual({ retrySeconds: 40 });
    expect(other.begin('link|client', NOW + 59_000)).toEqual({ retrySeconds: 1 });
    expect(other.begin('link|other client', NOW + 20_000)).toBe('go');
    expect(tryWrong(one, 'link|client', NOW + 60_000)).toBe('go');
  });

  it('are not more because they are made at once; right ones do not count', () => {
    const tries = new WrongTries(10, MinuteTable.allocate());
    const admissions = Array.from({ length: 30 }, () => tries.begin('key', NOW));
    expect(admissions.filter((admission) => admission === 'go')).toHaveLength(10);
    expect(admissions.filter((admission) => admission === 'wait')).toHaveLength(20);
    tries.end('key', NOW, false);
    expect(tries.begin('key', NOW)).toBe('go');
    for (let count = 0; count < 10; count += 1) tries.end('key', NOW, true);
    expect(tries.begin('key', NOW)).toEqual({ retrySeconds: 60 });
  });

  it('of more keys than there is room for forget the oldest', () => {
    const tries = new WrongTries(1, MinuteTable.allocate());
    for (let count = 0; count < 40_000; count += 1) tryWrong(tries, `old ${count}`, NOW);
    expect(tryWrong(tries, 'new', NOW + 30_000)).toBe('go');
    expect(tries.begin('new', NOW + 30_000)).toEqual({ retrySeconds: 60 });
  });
});
