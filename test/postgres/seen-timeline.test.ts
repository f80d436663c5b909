import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { SeenTimeline } from '../../src/postgres/seen-timeline.js';
import { makeFolder } from '../support/machine/folders.js';

const old = { system: '7000000000000000001', timeline: 1 };
const newer = { ...old, timeline: 2 };

describe('the timeline that was written to last', () => {
  it('is known to a later process, and refuses older ones of its system alone', () => {
    const folder = makeFolder('timeline');
    expect(new SeenTimeline(folder).isStale(old)).toBe(false);
    new SeenTimeline(folder).note(newer);
    const later = new SeenTimeline(folder);
    expect(later.seen).toEqual(newer);
    expect(later.isStale(old)).toBe(true);
    expect(later.isStale(newer)).toBe(false);
    expect(later.isStale({ system: '7000000000000000002', timeline: 1 })).toBe(false);
  });

  it.each(['', '{', '{}', '{"system":"x","timeline":2}', '{"system":"1","timeline":0.5}'])(
    'is not forgotten because its file is damaged: %j',
    (text) => {
      const folder = makeFolder('timeline');
      const seen = new SeenTimeline(folder);
      seen.note(newer);
      const file = path.join(folder, 'timeline.json');
      writeFileSync(file, text);
      expect(() => seen.reload()).toThrow(`${file} is damaged`);
      expect(seen.isStale(old)).toBe(true);
      expect(() => new SeenTimeline(folder)).toThrow('is damaged');
    },
  );

  it('is not forgotten because its file can’t be read', () => {
    const folder = makeFolder('timeline');
    const seen = new SeenTimeline(folder);
    seen.note(newer);
    const file = path.join(folder, 'timeline.json');
    rmSync(file);
    // Whoever runs the tests as root may read every file.
    mkdirSync(file);
    expect(() => seen.reload()).toThrow('EISDIR');
    expect(seen.isStale(old)).toBe(true);
    expect(() => new SeenTimeline(folder)).toThrow('EISDIR');
  });
});
