import type { WorkerThread } from '../thread.js';
import type { Transfer } from './admission.js';
import type { Upload } from './upload.js';

/** An import under way: its thread, its place and its file. */
export interface ImportWork {
  readonly thread: WorkerThread;
  readonly transfer: Transfer;
  readonly requestId: string;
  readonly upload: Upload;
}
