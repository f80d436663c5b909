import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { MessagePort } from 'node:worker_threads';
import { Busboy } from '@fastify/busboy';
import { CodedError } from '../../errors.js';
import type { FromTransfer, ToTransfer } from '../../messages/transfers.js';

type Parser = InstanceType<typeof Busboy>;

export interface FilePart {
  readonly bytes: Readable;
  /** Whether it has no name and, unless bytes come, is what a browser sends where no file was chosen. */
  readonly isUnnamed: boolean;
}

/** The multipart body that comes over the port, and the file in it. */
export class Upload {
  /** The part named `file`. */
  readonly file: Promise<FilePart>;
  /** Settles when the whole body was there, and was one. */
  readonly complete: Promise<void>;

  constructor(contentType: string, port: MessagePort) {
    let parser: Parser;
    try {
      parser = new Busboy({ headers: { 'content-type': contentType } });
    } catch {
      throw new CodedError('NO_FILE');
    }
    this.complete = finished(parser, { readable: false }).catch((error: unknown) => {
      throw error instanceof CodedError ? error : new CodedError('INVALID_MULTIPART');
    });
    this.file = new Promise((resolve, reject) => {
      let found: Readable | undefined;
      parser.on('file', (field: string, stream: Readable, fileName: string | undefined) => {
        // An upload that breaks off ends its parts with an error of their own.
        stream.on('error', () => undefined);
        if (field === 'file' && found === undefined) {
          found = stream;
          resolve({ bytes: stream, isUnnamed: (fileName ?? '') === '' });
        } else {
          stream.resume();
        }
      });
      const fail = (error: unknown): void => {
        found?.destroy(error as Error);
        reject(error);
      };
      this.complete.then(() => reject(new CodedError('NO_FILE')), fail);
    });
    this.file.catch(() => undefined);
    feed(parser, port);
  }
}

/** Passes bytes on; each chunk earns its credit when the parser, and all behind it, has taken it. */
function feed(parser: Parser, port: MessagePort): void {
  port.on('message', (message: ToTransfer) => {
    if (parser.destroyed) return;
    if (message.kind === 'end') parser.end();
    if (message.kind !== 'chunk') return;
    const bytes = Buffer.from(message.bytes);
    parser.write(bytes, () => {
      port.postMessage({ kind: 'credit', amount: bytes.length } satisfies FromTransfer);
    });
  });
  port.on('close', () => {
    if (!parser.writableFinished) parser.destroy(new CodedError('UNAVAILABLE', 'the client went away'));
  });
}
