import { type Checked, check } from '../../api/check.js';
import { fieldsOf, type ImportPlan, importPlan } from '../../api/import-columns.js';
import { type ImportedLink, importedLink } from '../../api/link-import.js';
import { CodedError, errorOf } from '../../errors.js';
import type { ImportRequest } from '../../messages/transfers.js';
import { type Connection, inTransaction } from '../../postgres/pool.js';
import { hashPassword } from '../../runtime/password-hash.js';
import {
  asOwner,
  type ImportOutcome,
  type ImportRow,
  type ImportRules,
  importBatch,
  rowRefusal,
} from '../../store/link-import.js';
import { targetRefusal } from '../../store/target-rules.js';
import type { WorkerThread } from '../thread.js';
import { linesOf, recordBatches } from './csv-records.js';
import type { ImportWork } from './import-work.js';
import { RowLog } from './row-log.js';

type LinksRequest = Extract<ImportRequest, { operation: 'importLinks' }>;

/** Rows of one commit: beyond it a statement takes longer without gaining. */
const BATCH_ROWS = 2500;
/** Long rows make short batches, to bound memory. */
const BATCH_CHARACTERS = 2 * 1024 * 1024;

interface WaitingRow extends ImportRow {
  readonly line: number;
}

/** Imports a batch: commits it, or only finds out what would happen. */
type TakeBatch = (rows: readonly ImportRow[], rules: ImportRules) => Promise<ImportOutcome[]>;

/** The results of the rows so far. */
class Tally {
  imported = 0;
  updated = 0;
  skipped = 0;
  readonly failed = new RowLog();
  /** For skipped rows to report. */
  readonly said = new RowLog();

  add(outcome: ImportOutcome, line: number): void {
    if (outcome.is === 'failed') this.failed.add(line, errorOf(outcome.error));
    else this[outcome.is] += 1;
  }

  body(): string {
    const { imported, updated, failed, said } = this;
    const errors = [...failed.errors, ...said.errors].sort((a, b) => a.line - b.line).slice(0, 100);
    return JSON.stringify({
      imported,
      updated,
      skipped: this.skipped + said.count,
      failed: failed.count,
      errors,
    });
  }
}

/**
 * Imports links in batches, each committed as it arrives: an import that breaks off keeps earlier batches.
 * @returns the answer.
 */
export async function importLinkRows(work: ImportWork, request: LinksRequest): Promise<string> {
  const { thread, upload } = work;
  const { dry_run: isDry = false } = request.input;
  const tally = new Tally();
  const importer = new LinkImporter(thread, request, tally);
  await importer.load();
  const records = recordBatches(await upload.file);
  if (isDry) await withoutTrace(work, (take) => importer.run(records, upload.complete, take));
  else await importer.run(records, upload.complete, committed(work));
  const left = tally.skipped + tally.said.count + tally.failed.count;
  if (!isDry) thread.counters.add('importedRows', tally.imported + tally.updated);
  thread.counters.add('importSkippedRows', left);
  thread.log.info(
    { request_id: request.requestId, failed: Object.fromEntries(tally.failed.byReason), dry_run: isDry },
    `imported ${tally.imported} links, updated ${tally.updated}, left out ${left}`,
  );
  return tally.body();
}

/** Each batch in its own transaction; caches forget changed links once it is committed. */
function committed({ thread: { pool, coherence, config, counters }, transfer }: ImportWork): TakeBatch {
  const endMs = Date.now() + config.TRANSFER_DEADLINE_MS;
  return async (rows, rules) => {
    const outcomes = await transfer.withConnection(endMs - Date.now(), () =>
      pool.run(endMs - Date.now(), (connection) =>
        inTransaction(connection, () => importBatch(connection, rows, rules)),
      ),
    );
    counters.add('linksCreated', outcomes.filter((outcome) => outcome.is === 'imported').length);
    for (const outcome of outcomes) {
      if (outcome.is === 'imported' || outcome.is === 'updated') coherence.invalidate(outcome.shortCode);
    }
    coherence.noteChosenCode();
    return outcomes;
  };
}

/** Each batch is undone, and its codes are remembered, to find repeated ones. */
async function withoutTrace(
  { thread: { pool, config }, transfer }: ImportWork,
  run: (take: TakeBatch) => Promise<void>,
): Promise<void> {
  const undone = async (
    connection: Connection,
    rows: readonly ImportRow[],
    rules: ImportRules,
  ): Promise<ImportOutcome[]> => {
    const codes = rows.flatMap(({ link }) => link.short_code ?? []);
    const { rows: known } = await connection.query<{ code: string }>(
      'SELECT code FROM imported_codes WHERE code = ANY ($1::text[])',
      [codes],
    );
    const again = new Set(known.map(({ code }) => code));
    await connection.query('SAVEPOINT batch');
    const outcomes = await importBatch(connection, rows, rules);
    await connection.query('ROLLBACK TO SAVEPOINT batch');
    await connection.query('RELEASE SAVEPOINT batch');
    await connection.query(
      'INSERT INTO imported_codes SELECT unnest($1::text[]) ON CONFLICT (code) DO NOTHING',
      [outcomes.flatMap((outcome) => (outcome.is === 'imported' ? [outcome.shortCode] : []))],
    );
    return outcomes.map((outcome): ImportOutcome => {
      if (outcome.is !== 'imported' || !again.has(outcome.shortCode)) return outcome;
      if (rules.onConflict === 'update') return { ...outcome, is: 'updated' };
      return rules.onConflict === 'skip' ? { is: 'skipped' } : { is: 'failed', error: 'SHORT_CODE_TAKEN' };
    });
  };
  await transfer.withConnection(config.TRANSFER_WAIT_MS, () =>
    pool.runOnce(config.TRANSFER_DEADLINE_MS, (connection) =>
      inTransaction(connection, async () => {
        await connection.query(
          'CREATE TEMPORARY TABLE imported_codes (code text PRIMARY KEY) ON COMMIT DROP',
        );
        await run((rows, rules) => undone(connection, rows, rules));
      }),
    ),
  );
}

class LinkImporter {
  readonly #thread: WorkerThread;
  readonly #request: LinksRequest;
  readonly #tally: Tally;
  #check: (fields: unknown) => Checked<ImportedLink> = () => ({ ok: false, error: 'INTERNAL' });
  #batch: WaitingRow[] = [];
  #characters = 0;
  readonly #codes = new Set<string>();

  constructor(thread: WorkerThread, request: LinksRequest, tally: Tally) {
    this.#thread = thread;
    this.#request = request;
    this.#tally = tally;
  }

  /** The schema library, which takes a moment to load and which only imports need in this thread. */
  async load(): Promise<void> {
    const { z } = await import('zod');
    const schema = importedLink(z);
    this.#check = (fields) => check(schema, fields);
  }

  async run(records: AsyncIterable<string[][]>, complete: Promise<void>, take: TakeBatch): Promise<void> {
    const { format, on_conflict: onConflict } = this.#request.input;
    const { owner } = this.#request;
    let plan: ImportPlan | undefined;
    let rules: ImportRules | undefined;
    let nextLine = 1;
    for await (const batch of records) {
      for (const record of batch) {
        const line = nextLine;
        nextLine += linesOf(record);
        if (record.length === 1 && record[0] === '') continue;
        if (plan === undefined || rules === undefined) {
          plan = importPlan(record, format, onConflict === 'update');
          if (plan === undefined) throw new CodedError('CSV_TARGET_COLUMN');
          rules = { onConflict, fields: plan.fields, settings: this.#thread.linkSettings, owner };
          continue;
        }
        await this.#add(record, line, plan, rules, take);
      }
    }
    // The rest of the upload must arrive, and be valid, before the last batch is kept.
    await complete;
    if (rules !== undefined) await this.#flush(rules, take);
  }

  async #add(
    record: readonly string[],
    line: number,
    plan: ImportPlan,
    rules: ImportRules,
    take: TakeBatch,
  ): Promise<void> {
    const host = (record[plan.hostIndex] ?? '').trim().toLowerCase();
    if (host !== '' && host !== this.#ownHost()) {
      this.#tally.said.add(line, `Skipped: the domain ${host.slice(0, 253)} is not this service's`);
      return;
    }
    const checked = this.#check(fieldsOf(plan, record));
    if (!checked.ok) {
      this.#tally.failed.add(line, errorOf(checked.error, checked.detail));
      return;
    }
    const link = asOwner(checked.value, rules.owner);
    const { origin } = this.#request;
    const error =
      rowRefusal(link, rules.owner) ??
      (link.original_url === undefined
        ? undefined
        : await targetRefusal(link.original_url, { origin, links: rules.settings }));
    if (error !== undefined) {
      this.#tally.failed.add(line, errorOf(error));
      return;
    }
    const { short_code: code } = link;
    if (code !== undefined && this.#codes.has(code)) await this.#flush(rules, take);
    if (code !== undefined) this.#codes.add(code);
    this.#batch.push({ line, link, passwordHash: await this.#hashOf(link) });
    for (const cell of record) this.#characters += cell.length;
    if (this.#batch.length >= BATCH_ROWS || this.#characters >= BATCH_CHARACTERS)
      await this.#flush(rules, take);
  }

  async #hashOf({ password }: ImportedLink): Promise<string | undefined> {
    if (typeof password !== 'string') return undefined;
    return this.#request.input.dry_run === true ? '-' : hashPassword(password);
  }

  async #flush(rules: ImportRules, take: TakeBatch): Promise<void> {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    this.#characters = 0;
    this.#codes.clear();
    const outcomes = await take(batch, rules);
    for (const [index, outcome] of outcomes.entries()) this.#tally.add(outcome, batch[index]?.line ?? 0);
  }

  #ownHost(): string {
    return new URL(this.#request.origin).hostname;
  }
}
