import { describe, expect, it } from 'vitest';
import { CodedError } from '../../src/errors.js';
import { Pace } from '../../src/workers/transfers/pace.js';
import { type Place, Places } from '../../src/workers/transfers/places.js';

type Kind = 'list' | 'import';

function setUp(): {
  places: Places<Kind>;
  begun: string[];
  ask: (kind: Kind, client: string) => Promise<Place<Kind>>;
} {
  const places = new Places<Kind>({ total: 3, most: { list: 2, import: 2 }, perClient: 2 });
  const begun: string[] = [];
  const ask = async (kind: Kind, client: string): Promise<Place<Kind>> => {
    const place = await places.take({ kind, client, waitMs: 60_000 });
    begun.push(`${client} ${kind}`);
    return place;
  };
  return { places, begun, ask };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('places', () => {
  it('say who waits for them and who did so in vain', async () => {
    let waiting = 0;
    const refused: Kind[] = [];
    const places = new Places<Kind>({
      total: 1,
      most: { list: 1, import: 1 },
      perClient: 1,
      onWaiting: (_, change) => {
        waiting += change;
      },
      onRefused: (kind) => refused.push(kind),
    });
    const place = await places.take({ kind: 'list', client: 'a', waitMs: 60_000 });
    expect(waiting).toBe(0);
    const gone = new AbortController();
    const left = places.take({ kind: 'list', client: 'b', waitMs: 60_000, signal: gone.signal });
    const late = places.take({ kind: 'import', client: 'c', waitMs: 1 });
    expect(waiting).toBe(2);
    gone.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    await expect(late).rejects.toThrow(CodedError);
    expect(refused).toEqual(['import']);
    expect(waiting).toBe(0);
    place.leave();
  });

  it('are never all of one kind', async () => {
    const { places, begun, ask } = setUp();
    const first = await ask('list', 'a');
    await ask('list', 'b');
    void ask('list', 'c');
    await ask('import', 'd');
    void ask('import', 'e');
    await settled();
    expect(begun).toEqual(['a list', 'b list', 'd import']);
    expect(places.isWanted(first)).toBe(true);
    first.leave();
    await settled();
    expect(begun.at(-1)).toBe('c list');
    // A place is left once.
    first.leave();
    await settled();
    expect(begun).toHaveLength(4);
    expect(places.isWanted(first)).toBe(false);
  });

  it('are given to who has the fewest, and of several to who came first', async () => {
    const { begun, ask } = setUp();
    const held = [await ask('list', 'a'), await ask('list', 'a')];
    for (const name of ['a', 'b', 'c', 'a']) void ask('list', name);
    await settled();
    held[0]?.leave();
    await settled();
    expect(begun.slice(2)).toEqual(['b list']);
    held[1]?.leave();
    await settled();
    expect(begun.slice(3)).toEqual(['a list']);
  });

  it('are waited for as long as was said, or until the client is gone', async () => {
    const { places, ask } = setUp();
    await ask('list', 'a');
    await ask('list', 'a');
    const controller = new AbortController();
    const claim = { kind: 'list', client: 'b' } as const;
    const gone = places.take({ ...claim, waitMs: 60_000, signal: controller.signal });
    controller.abort(new CodedError('UNAVAILABLE', 'gone'));
    await expect(gone).rejects.toThrow('gone');
    await expect(places.take({ ...claim, waitMs: 60_000, signal: controller.signal })).rejects.toThrow(
      'gone',
    );
    await expect(places.take({ ...claim, waitMs: 10 })).rejects.toThrow(new CodedError('UNAVAILABLE'));
  });
});

describe('the pace of a client', () => {
  it('counts the time alone in which it is waited for, and forgets', () => {
    let nowMs = 0;
    const pace = new Pace(() => nowMs);
    const look = (milliseconds: number): number | undefined => {
      nowMs += milliseconds;
      return pace.look();
    };
    pace.moved(1_000_000);
    expect(look(5000)).toBeUndefined();
    pace.wait();
    expect(pace.isWaiting).toBe(true);
    expect(look(500)).toBeUndefined();
    for (let count = 0; count < 20; count += 1) look(500);
    expect(look(500)).toBeLessThan(1000);
    for (let count = 0; count < 20; count += 1) {
      pace.moved(100_000);
      look(500);
    }
    pace.moved(100_000);
    expect(look(500)).toBeCloseTo(200_000, -4);
    pace.goOn();
    expect(pace.isWaiting).toBe(false);
    for (let count = 0; count < 10; count += 1) look(500);
    expect(look(500)).toBeUndefined();
  });
});
