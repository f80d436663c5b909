#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { ConfigError, loadConfig } from '../config.js';
import { removeOutsideCluster } from '../postgres/cluster-place.js';
import { listClusters } from './clusters.js';
import { adoptFolders, drainJournals, showJournals, verifyJournals } from './journal.js';
import { reconcile } from './reconcile.js';

const USAGE = `usage:
  switchyard journal stats <folder>             what click journals hold
  switchyard journal verify <folder>            reads every frame; ends with 1 when anything is damaged
  switchyard journal drain <folder>             takes journals of servers that are no more into the database
  switchyard journal adopt <folder>             says that the original of a copied folder is no more
  switchyard reconcile [--repair]               compares each link's counter with its click events
  switchyard clusters                           embedded databases that lie outside of their data folders
  switchyard clusters remove <cluster>          removes one that no data folder names

<folder> is a data folder, or a journal folder within one. The database is the one that the settings
name (DATABASE_URL or its parts, from the environment or .env).`;

/** What the process ends with. */
const Exit = { OK: 0, FOUND: 1, USAGE: 2, FAILED: 3 } as const;

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { repair: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  });
  const [command, action, folder] = positionals;
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return Exit.OK;
  }
  if (command === 'reconcile' && action === undefined) {
    const wrong = await reconcile(loadConfig(), values.repair);
    return wrong === 0 || values.repair ? Exit.OK : Exit.FOUND;
  }
  if (command === 'clusters' && action === undefined) {
    listClusters();
    return Exit.OK;
  }
  if (command === 'clusters' && action === 'remove' && folder !== undefined) {
    await removeOutsideCluster(folder);
    return Exit.OK;
  }
  if (command === 'journal' && folder !== undefined && !values.repair) {
    switch (action) {
      case 'stats':
        await showJournals(folder);
        return Exit.OK;
      case 'verify':
        return (await verifyJournals(folder)) ? Exit.OK : Exit.FOUND;
      case 'drain':
        return (await drainJournals(loadConfig(), folder)) ? Exit.OK : Exit.FAILED;
      case 'adopt':
        return (await adoptFolders(folder)) ? Exit.OK : Exit.FAILED;
      default:
        break;
    }
  }
  process.stderr.write(`${USAGE}\n`);
  return Exit.USAGE;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`switchyard: ${message}\n`);
    const isUsage = error instanceof ConfigError || error instanceof TypeError;
    process.exitCode = isUsage ? Exit.USAGE : Exit.FAILED;
  },
);
