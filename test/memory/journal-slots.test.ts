import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.js';
import { Counters } from '../../src/memory/counters.js';
import { JournalSlots } from '../../src/memory/journal-slots.js';
import { ServerState } from '../../src/memory/server-state.js';
import { nothingIngested } from '../../src/messages/ingest.js';
import { IngestScheduler } from '../../src/ops/ingest-scheduler.js';
import { createLogger } from '../../src/runtime/logger.js';
import { makeFolder } from '../support/machine/folders.js';

describe('journal slots', () => {
  it('are each one journal’s until it is no more', () => {
    const slots = new JournalSlots();
    const indexes = Array.from({ length: JournalSlots.count }, () => slots.claim()?.index);
    expect(new Set(indexes).size).toBe(JournalSlots.count);
    expect(slots.claim()).toBeUndefined();
    slots.slot(7).set('accepted', 70);
    slots.release(9);
    expect(() => slots.release(9)).toThrow('free already');
    expect(slots.claim()?.index).toBe(9);
    expect(slots.slot(7).get('accepted')).toBe(70);
    slots.release(7);
    expect(slots.claim()?.slot.get('accepted')).toBe(0);
  });
});

describe('the ingest scheduler', () => {
  let folder: string;

  beforeEach(() => {
    folder = makeFolder('slots');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('never takes a living journal’s slot, however often gateways start while PostgreSQL is away', async () => {
    const slots = new JournalSlots();
    const scheduler = await IngestScheduler.open({
      config: parseConfig({ DATA_DIR: folder }),
      // Not up: nothing is ingested, and no slot becomes free.
      state: new ServerState(),
      slots,
      counters: new Counters().claim('supervisor').counters,
      log: createLogger('test', 'error', () => undefined),
      parallel: 1,
      ingest: () => Promise.resolve(nothingIngested),
      isDiskRefusing: () => false,
      onFallBack: () => undefined,
    });
    const living = scheduler.register();
    const { cells } = slots.slot(living.slot);
    cells[0] = 1000;
    for (let start = 0; start < 600; start += 1) {
      const { journalId, slot } = scheduler.register();
      expect(slot).not.toBe(living.slot);
      slots.slot(slot).set('accepted', 1);
      scheduler.ended(journalId);
    }
    expect(cells[0]).toBe(1000);
    // What lost its slot is counted all the same.
    expect(scheduler.pendingClicks).toBe(1600);
    await scheduler.close(Date.now());
  });
});
