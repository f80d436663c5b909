import { createHash } from 'node:crypto';
import type { StreamIdentity } from '../store/click-ingest.js';

/**
 * The id under which the database notes how far it has a partition. Checkpoints have UUIDs: this one is of version 8,
 * made of a digest of `kafka:<cluster>:<topic>:<topic id>:<partition>`, where a journal's is random, of version 4.
 * A topic that was made anew has other ids than before.
 */
export function checkpointId({ clusterId, topic, topicId }: StreamIdentity, partition: number): string {
  const hex = createHash('sha256')
    .update(`kafka:${clusterId}:${topic}:${topicId}:${partition}`)
    .digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
