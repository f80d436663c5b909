/** Large JSON bodies, which a worker parses for a gateway, each over its own port. */
import type { MessagePort } from 'node:worker_threads';
import type { Checked } from '../api/check.js';
import type { JsonLimits } from '../api/json-text.js';

export interface BodyCheck {
  /** The route's, by which its schema is found. */
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
  /** All of it is the body. */
  readonly bytes: ArrayBuffer;
  readonly limits: JsonLimits;
  readonly port: MessagePort;
}

/** The answer; the port closes without one when the worker dies. */
export type BodyChecked = Checked;
