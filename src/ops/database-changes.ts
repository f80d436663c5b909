import type { ClusterIdentity } from '../postgres/cluster-identity.js';
import { UnusableDatabaseError } from '../postgres/failures.js';
import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';
import type { DatabaseChange } from './database-watch.js';

/** Logs what the watch has found. */
export function logChange(log: Logger, change: DatabaseChange): void {
  switch (change.kind) {
    case 'up':
      log.info('PostgreSQL can be reached');
      break;
    case 'down':
      log.error({ error: change.error }, `${whatFailed(change.error)}: ${describeError(change.error)}`);
      break;
    case 'listen-lost':
      log.warn(
        { error: change.error },
        `the LISTEN connection was lost, cached links are suspect: ${describeError(change.error)}`,
      );
      break;
    case 'replaced':
      log.error(
        { from: change.from, to: change.to },
        `${whatReplaced(change.from, change.to)}: what the database lost of the clicks is ingested again`,
      );
      break;
    case 'reconnected':
      break;
    default:
      throw new Error(`no such change: ${String(change satisfies never)}`);
  }
}

function whatFailed(error: Error): string {
  return error instanceof UnusableDatabaseError
    ? "the database can't be used any more"
    : "PostgreSQL can't be reached";
}

function whatReplaced(from: ClusterIdentity, to: ClusterIdentity): string {
  return from.system === to.system
    ? `PostgreSQL went from timeline ${from.timeline} to ${to.timeline}, by a failover or a recovery`
    : `another PostgreSQL answers (system ${to.system}, not ${from.system})`;
}
