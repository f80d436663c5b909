import { outsideClusters } from '../postgres/cluster-place.js';

/** Prints the embedded databases outside their data folders, with their owners. */
export function listClusters(): void {
  for (const { folder, dataDir, isUsed } of outsideClusters()) {
    const owner = dataDir ?? 'unknown: made by an older version';
    process.stdout.write(
      `${folder} (data folder: ${owner}${isUsed ? '' : ', which is gone or has another one'})\n`,
    );
  }
}
