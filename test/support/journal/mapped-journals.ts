import { randomUUID } from 'node:crypto';
import { journalMode } from '../../../src/journal/mode.js';
import type { NativeMemory } from '../../../src/journal/native.js';
import { SegmentSupplier, type SupplierOptions } from '../../../src/journal/supplier.js';
import { type SegmentReply, type SegmentRequest, SegmentSupply } from '../../../src/journal/supply.js';
import type { ClickJournalOptions } from '../../../src/journal/writer.js';
import { eventually } from '../machine/wait.js';
import { openJournal, type TestJournal } from './journals.js';

export interface MappedJournal extends TestJournal {
  readonly supplier: SegmentSupplier;
  readonly supply: SegmentSupply;
  /** The writer's requests, and the answers. */
  readonly asked: SegmentRequest[];
  readonly answered: SegmentReply[];
  /** Closes both sides, and waits for what is under way. */
  end(): Promise<void>;
}

/** The system calls; tests that need them run only where they exist. */
export function nativeMemory(folder: string): NativeMemory {
  const mode = journalMode('mapped', folder);
  if (mode.kind !== 'mapped') throw new Error(mode.reason);
  return mode.native;
}

/** A writer of mapped segments without a gateway around it; its first segment is ready. */
export async function openMapped(
  folder: string,
  options: Partial<ClickJournalOptions> = {},
  supplierOptions: Partial<SupplierOptions> = {},
): Promise<MappedJournal> {
  const journalId = options.journalId ?? randomUUID();
  const native = supplierOptions.native ?? nativeMemory(folder);
  const supplier = new SegmentSupplier({
    folder,
    segmentBytes: options.segmentBytes ?? 262_144,
    isSynced: true,
    native,
    ...supplierOptions,
  });
  const asked: SegmentRequest[] = [];
  const answered: SegmentReply[] = [];
  const supply = new SegmentSupply({
    ask: (request) => {
      asked.push(request);
      supplier.handle(journalId, request, (reply) => {
        answered.push(reply);
        supply.receive(reply);
      });
    },
    view: native.view,
  });
  const journal = openJournal(folder, { segmentBytes: 262_144, ...options, journalId, supply });
  if (supplierOptions.native === undefined) {
    await eventually(() => answered.some(({ kind }) => kind === 'ready'));
  }
  return {
    ...journal,
    journalId,
    supplier,
    supply,
    asked,
    answered,
    end: async () => {
      journal.journal.close();
      await supplier.close();
    },
  };
}
