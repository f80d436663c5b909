import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { isBot } from '../../src/runtime/bots.js';
import { root } from '../support/stack/compose.js';

/** The user agents of a file of test/support/agents by their kind. */
function agents(name: string): [kind: string, agents: string[]][] {
  const kinds: [string, string[]][] = [];
  for (const line of readFileSync(path.join(root, 'test/support/agents', name), 'utf8').split('\n')) {
    if (line.startsWith('## ')) kinds.push([line.slice(3), []]);
    else if (line !== '' && !line.startsWith('# ')) kinds.at(-1)?.[1].push(line);
  }
  return kinds;
}

const people = agents('people.txt');
const machines = agents('machines.txt');

describe('user agents', () => {
  it.each(people)('of %s are people’s', (_kind, list) => {
    expect(list.length).toBeGreaterThan(0);
    expect(list.filter(isBot)).toEqual([]);
  });

  it.each(machines)('of %s are machines’', (_kind, list) => {
    expect(list.length).toBeGreaterThan(0);
    expect(list.filter((agent) => !isBot(agent))).toEqual([]);
  });

  it('are some hundreds, none of them twice', () => {
    const all = [...people, ...machines].flatMap(([, list]) => list);
    expect(all.length).toBeGreaterThan(300);
    expect(new Set(all).size).toBe(all.length);
  });
});
