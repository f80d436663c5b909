import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { surveyFolder } from '../journal/survey.js';
import type { ThreadCounters } from '../memory/counters.js';
import { isFolderDone, leaveFolder, markFolder, recogniseFolder } from '../runtime/folder-identity.js';
import { claimFolder, type FolderOwner, hasOwnerSocket, isOwned } from '../runtime/folder-lock.js';
import type { Logger } from '../runtime/logger.js';

export interface JournalFoldersOptions {
  /** The folder of all servers' folders. */
  readonly root: string;
  readonly counters: ThreadCounters;
  readonly log: Logger;
  /** Whether a journal of this folder is still to be ingested. */
  readonly hasJournals: (folder: string) => boolean;
  /** Journals of a server that is gone; some may be known already. */
  readonly onAdopted: (folder: string, journalIds: readonly string[]) => void;
}

/**
 * The folders of journals: every server has its own, and owns it as long as it lives. The first server that
 * finds a folder whose owner is dead adopts it, and removes it when its journals are in the database. Nobody
 * adopts a copied folder: its journals are the original's.
 *
 * | folder | is left to | becomes |
 * |---|---|---|
 * | own | this server | removed at its end, when empty |
 * | owned by another living server | that server | – |
 * | copied, or restored | its original, or the operator (`switchyard journal adopt`) | – |
 * | of a dead server | whoever claims it | adopted |
 * | adopted, its journals ingested | us | removed, unless something worth keeping is in it |
 */
export class JournalFolders {
  readonly own: string;
  readonly #options: JournalFoldersOptions;
  readonly #adopted = new Map<string, FolderOwner>();
  /** Logged problems, by folder: each is logged once, until it changes. */
  readonly #said = new Map<string, string>();
  #owner: FolderOwner | undefined;
  #scan: Promise<void> | undefined;

  private constructor(options: JournalFoldersOptions, own: string, owner: FolderOwner) {
    this.#options = options;
    this.own = own;
    this.#owner = owner;
  }

  /** Makes this server's folder. @throws if it is not writable. */
  static async open(options: JournalFoldersOptions): Promise<JournalFolders> {
    const own = path.join(options.root, randomUUID());
    mkdirSync(own, { recursive: true, mode: 0o700 });
    const owner = await claimFolder(own);
    if (owner === undefined) throw new Error(`${own} belongs to another server`);
    markFolder(own);
    return new JournalFolders(options, own, owner);
  }

  /** Looks for folders whose owner is gone. Failures are logged, counted and tried again at the next scan. */
  scan(): Promise<void> {
    this.#scan ??= this.#look().finally(() => {
      this.#scan = undefined;
    });
    return this.#scan;
  }

  /** Gives up all folders, and removes finished ones. */
  async close(): Promise<void> {
    await this.#scan;
    await this.#attempt(this.own, async () => {
      if (this.#owner !== undefined) await leaveFolder(this.own, this.#owner);
    });
    for (const [folder, owner] of this.#adopted) {
      await this.#attempt(folder, async () => {
        if (!this.#options.hasJournals(folder)) await this.#leaveIfDone(folder);
        if (this.#adopted.has(folder)) await owner.release();
      });
    }
  }

  async #look(): Promise<void> {
    const { root } = this.#options;
    await this.#attempt(this.own, () => this.#keepOwn());
    await this.#attempt(root, async () => {
      for (const entry of await readdir(root, { withFileTypes: true })) {
        const folder = path.join(root, entry.name);
        if (!entry.isDirectory() || folder === this.own) continue;
        await this.#attempt(folder, () =>
          this.#adopted.has(folder) ? this.#tend(folder) : this.#adopt(folder),
        );
      }
    });
  }

  /** One folder's trouble must not affect another. */
  async #attempt(folder: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // Somebody has removed it meanwhile.
      if (code === 'ENOENT') return;
      this.#options.counters.add('ingestFailures');
      if (!this.#isNew(folder, message)) return;
      this.#options.log.warn(
        { error },
        `the journal folder ${folder} could not be handled and will be retried: ${message}`,
      );
    }
  }

  #isNew(folder: string, what: string): boolean {
    if (this.#said.get(folder) === what) return false;
    this.#said.set(folder, what);
    return true;
  }

  /** Somebody may have removed the folder, and a gateway made it again: then claim it again. */
  async #keepOwn(): Promise<void> {
    if (hasOwnerSocket(this.own)) return;
    // Before the claim, because closing a socket removes the file with its name.
    await this.#owner?.release();
    this.#owner = undefined;
    this.#owner = await claimFolder(this.own);
    if (this.#owner === undefined) throw new Error('another server has claimed it');
    markFolder(this.own);
  }

  async #adopt(folder: string): Promise<void> {
    const { log } = this.#options;
    if (await isOwned(folder)) return;
    const recognised = recogniseFolder(folder);
    if (recognised.kind === 'copy') {
      if (!this.#isNew(folder, recognised.kind)) return;
      log.warn(
        { folder, of: recognised.of },
        `${folder} is a copy of ${recognised.of}: its clicks belong to the original. If the original is gone: switchyard journal adopt ${folder}`,
      );
      return;
    }
    const owner = await claimFolder(folder);
    if (owner === undefined) return;
    try {
      if (recognised.kind === 'unmarked') markFolder(folder);
      const journals = await this.#survey(folder);
      if (journals > 0) {
        log.info(
          { folder: path.basename(folder), journals },
          `adopted ${journals} click journals of a server that is gone`,
        );
      }
      this.#adopted.set(folder, owner);
    } catch (error) {
      await owner.release();
      throw error;
    }
    await this.#tend(folder);
  }

  async #survey(folder: string): Promise<number> {
    const { log, onAdopted } = this.#options;
    const { journals, setAside, foreign } = await surveyFolder(folder);
    if (setAside.length > 0) {
      log.error(
        { folder, files: setAside.length },
        `${setAside.length} files in ${folder} are not click journals: set aside as .damaged`,
      );
    }
    if (foreign.length > 0 && this.#isNew(folder, `foreign ${foreign.length}`)) {
      log.warn(
        { folder, things: foreign.slice(0, 10) },
        `${foreign.length} entries of ${folder} have a journal's name but are not files: left alone`,
      );
    }
    onAdopted(folder, journals);
    return journals.length;
  }

  /** Ingest journals that appeared after the adoption too. */
  async #tend(folder: string): Promise<void> {
    if (this.#options.hasJournals(folder)) return;
    const journals = await this.#survey(folder);
    if (journals === 0) await this.#leaveIfDone(folder);
  }

  /** A folder whose journals are all in the database is no longer needed, unless it keeps damage. */
  async #leaveIfDone(folder: string): Promise<void> {
    const owner = this.#adopted.get(folder);
    if (owner === undefined || !isFolderDone(folder)) return;
    this.#adopted.delete(folder);
    await leaveFolder(folder, owner);
  }
}
