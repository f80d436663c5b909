#!/usr/bin/env node
import { Argument, Command, CommanderError, Option } from 'commander';
import { ConfigError, loadConfig } from '../config.js';
import { removeOutsideCluster } from '../postgres/cluster-place.js';
import type { IngestWay } from '../store/click-ingest.js';
import { archiveMonth, showArchive } from './archive.js';
import { ArchiveFileError, archiveFormats } from './archive-file.js';
import { backUp, restore } from './backup.js';
import { RefusedError } from './client.js';
import { listClusters } from './clusters.js';
import { completionOf, type Shell, shells } from './completion.js';
import { type ConsumeFlags, consume } from './consume.js';
import { changeIngestWay, ingestWays, showIngestWay } from './ingest-way.js';
import { adoptFolders, drainJournals, showJournals, verifyJournals } from './journal.js';
import { reconcile } from './reconcile.js';
import { addRemoteCommands } from './remote.js';
import { acceptTimeline, showTimeline } from './timeline.js';

/** The process's exit codes. */
const Exit = { OK: 0, FOUND: 1, USAGE: 2, FAILED: 3 } as const;

const NOTE = `
Also: switchyard journal stats|verify|drain|adopt <folder>, where <folder> is a data folder, or a journal folder within
one. The database is the one that the settings name (DATABASE_URL or its parts, from the environment or .env). What works
by a server's API asks the one that SWITCHYARD_URL names, with the key of SWITCHYARD_KEY.

It ends with 0 when all is well, 1 when something was found wrong or the server refused, 2 for a mistaken command, 3 when it
could not be done.`;

let code: number = Exit.OK;
let endsAtOnce = false;

/** @param isWell Whether it ends with 0. */
function endWith(isWell: boolean, otherwise: number): void {
  code = isWell ? Exit.OK : otherwise;
}

async function makeProgram(): Promise<Command> {
  const { z } = await import('zod');
  const program = new Command('switchyard')
    .description(
      'Explains, verifies and drains click journals, takes clicks from Kafka, reconciles counters, backs up and restores the database, and works on a server by its API.',
    )
    .configureHelp({ styleTitle: (title) => title.toLowerCase() })
    .showHelpAfterError()
    .addHelpText('after', NOTE)
    .exitOverride();
  addJournalCommands(program);
  program
    .command('reconcile')
    .description("compares each link's counter with its click events")
    .option('--repair', 'corrects wrong counters', false)
    .action(async ({ repair }: { repair: boolean }) => {
      const wrong = await reconcile(loadConfig(), repair);
      endWith(wrong === 0 || repair, Exit.FOUND);
    });
  program
    .command('backup <file>')
    .description('writes the whole database, as of one moment, to a file')
    .action((file: string) => backUp(loadConfig(), file));
  program
    .command('restore <file>')
    .description('restores a backup into an empty database, all or nothing')
    .option('--replace', 'replaces the content of the database', false)
    .action((file: string, { replace }: { replace: boolean }) => restore(loadConfig(), file, replace));
  addArchiveCommand(program);
  const clusters = program
    .command('clusters')
    .description('lists embedded databases outside their data folders')
    .action(listClusters);
  clusters
    .command('remove <cluster>')
    .description('removes one that no data folder names')
    .action((cluster: string) => removeOutsideCluster(cluster));
  const timeline = program
    .command('timeline')
    .description('the timeline of PostgreSQL that the servers of DATA_DIR wrote to last')
    .action(() => showTimeline(loadConfig()));
  timeline
    .command('accept <timeline>')
    .description('lets them write to a primary on a lower one')
    .action((text: string) => acceptTimeline(loadConfig(), text));
  program
    .command('consume')
    .description('takes clicks from Kafka into PostgreSQL, until a signal ends it (CLICK_INGEST=consume)')
    .option('--accept-topic', 'goes on though the topic was made anew, or has lost records', false)
    .action(async (flags: ConsumeFlags) => {
      // What a library has left open must not keep the process.
      endsAtOnce = true;
      endWith(await consume(loadConfig(), flags), Exit.FAILED);
    });
  program
    .command('database')
    .description('the database itself')
    .command('ingest')
    .description('shows by which way clicks come into the database, or changes it')
    .addArgument(new Argument('[way]').choices(ingestWays))
    .option('--abandon', 'gives up clicks that have not come in by the present way', false)
    .action((way: IngestWay | undefined, { abandon }: { abandon: boolean }) =>
      way === undefined ? showIngestWay(loadConfig()) : changeIngestWay(loadConfig(), way, abandon),
    );
  addRemoteCommands(program, z);
  program
    .command('completion')
    .description('prints a script that completes commands and options')
    .addArgument(new Argument('<shell>').choices(shells))
    .addHelpText(
      'after',
      '\nexamples:\n  source <(switchyard completion bash)\n  switchyard completion fish | source',
    )
    .action((shell: Shell) => {
      process.stdout.write(completionOf(program, shell));
    });
  return program;
}

function addArchiveCommand(program: Command): void {
  program
    .command('archive [month]')
    .description('writes the events of a month, such as 2025-01, to a file events-2025-01.<format>')
    .addOption(
      new Option('--format <format>', 'format of the file').choices(archiveFormats).default('ndjson'),
    )
    .option('--out <folder>', 'folder for the file', '.')
    .option('--replace', 'overwrites a file that the database does not know', false)
    .option('--check <file>', 'reads a file back instead; exits with 1 if it is damaged')
    .action(async (month: string | undefined, { format, out, replace, check }: ArchiveFlags) => {
      if ((month === undefined) === (check === undefined))
        throw new TypeError('name a month, or a file to --check');
      if (month !== undefined) await archiveMonth(loadConfig(), { month, format, out, mayReplace: replace });
      else await showArchive(check as string);
    });
}

interface ArchiveFlags {
  readonly format: (typeof archiveFormats)[number];
  readonly out: string;
  readonly replace: boolean;
  readonly check?: string;
}

function addJournalCommands(program: Command): void {
  const journal = program.command('journal').description('click journals');
  journal
    .command('stats <folder>')
    .description('shows the content of click journals')
    .action((folder: string) => showJournals(folder));
  journal
    .command('verify <folder>')
    .description('reads every frame; exits with 1 if anything is damaged')
    .action(async (folder: string) => endWith(await verifyJournals(folder), Exit.FOUND));
  journal
    .command('drain <folder>')
    .description('ingests the journals of servers that are gone')
    .action(async (folder: string) => endWith(await drainJournals(loadConfig(), folder), Exit.FAILED));
  journal
    .command('adopt <folder>')
    .description('makes a copied folder the original, once its original is gone')
    .action(async (folder: string) => endWith(await adoptFolders(folder), Exit.FAILED));
}

async function main(): Promise<number> {
  const program = await makeProgram();
  await program.parseAsync();
  return code;
}

function exitOf(error: unknown): number {
  if (error instanceof RefusedError) return error.status < 500 ? Exit.FOUND : Exit.FAILED;
  if (error instanceof ArchiveFileError) return Exit.FOUND;
  return error instanceof ConfigError || error instanceof TypeError ? Exit.USAGE : Exit.FAILED;
}

function end(exitCode: number): void {
  process.exitCode = exitCode;
  if (endsAtOnce) process.exit();
}

main().then(
  (ended) => {
    end(ended);
  },
  (error: unknown) => {
    if (error instanceof CommanderError) {
      // commander has printed it already; requested help is no mistake.
      process.exitCode = error.exitCode === 0 ? Exit.OK : Exit.USAGE;
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`switchyard: ${message}\n`);
    end(exitOf(error));
  },
);
