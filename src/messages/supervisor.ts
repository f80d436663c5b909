/**
 * The messages between a gateway and the supervisor. Plain data only: it crosses threads by structured clone.
 * Ids are decimal text.
 */
import type { MessagePort } from 'node:worker_threads';
import type { SegmentReply, SegmentRequest } from '../journal/supply.js';
import type { BodyCheck } from './body-checks.js';
import type { TransferJob, TransferRequest } from './transfers.js';

/** From a gateway to the supervisor. */
export type FromGateway =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly message: string }
  /** The journal has grown while the ingest slept. */
  | { readonly kind: 'journalled' }
  | { readonly kind: 'transfer'; readonly job: TransferJob<TransferRequest> }
  | { readonly kind: 'check'; readonly job: BodyCheck }
  | { readonly kind: 'barrier'; readonly id: number; readonly targets: readonly BarrierTarget[] }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question }
  /** Asks the server to end. */
  | { readonly kind: 'chaos' }
  /** Of the gateway's journal. */
  | { readonly kind: 'segment'; readonly request: SegmentRequest }
  | { readonly kind: 'drained' };

/** A journal slot and the count of clicks that must be ingested of it. */
export type BarrierTarget = readonly [slot: number, clicks: number];

/** What only the supervisor can answer. */
export type Question =
  | { readonly of: 'metrics' }
  | { readonly of: 'logs'; readonly limit: number; readonly filter: string; readonly level: string };

/** From the supervisor to a gateway. */
export type ToGateway =
  /** Everything that a request needs is ready. */
  | { readonly kind: 'listen' }
  /** A way to a worker. */
  | { readonly kind: 'worker'; readonly port: MessagePort }
  | { readonly kind: 'barrier'; readonly id: number }
  /** Without a body if there was no answer in time, or too many questions waited. */
  | { readonly kind: 'answer'; readonly id: number; readonly body: string | undefined }
  | { readonly kind: 'segment'; readonly reply: SegmentReply }
  /** For listeners: JSON of the last second's figures. */
  | { readonly kind: 'live'; readonly figures: string }
  | { readonly kind: 'drain' }
  | { readonly kind: 'close' };
