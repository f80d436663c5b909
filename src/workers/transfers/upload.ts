import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setImmediate as immediately } from 'node:timers/promises';
import { Busboy } from '@fastify/busboy';
import { CodedError } from '../../errors.js';

type Parser = InstanceType<typeof Busboy>;

export interface FilePart {
  readonly bytes: Readable;
  /** Whether it has no name and, if it stays empty, is what a browser sends when no file was chosen. */
  readonly isUnnamed: boolean;
}

/** A multipart body, and the file in it. */
export class Upload {
  /** The part named `file`. */
  readonly file: Promise<FilePart>;
  /** Settles when a whole, valid body has arrived. */
  readonly complete: Promise<void>;

  constructor(contentType: string, blocks: AsyncIterable<Buffer>) {
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
        // A truncated upload ends its parts with their own error.
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
    void feed(parser, blocks);
  }
}

/** Passes bytes on; requests the next when the parser, and everything after it, has consumed these. */
async function feed(parser: Parser, blocks: AsyncIterable<Buffer>): Promise<void> {
  try {
    for await (const block of blocks) {
      if (parser.destroyed) return;
      await new Promise((resolve) => {
        parser.write(block, resolve);
      });
      // Blocks that have arrived already would keep the thread from other work.
      await immediately();
    }
    if (!parser.destroyed) parser.end();
  } catch (error) {
    parser.destroy(error as Error);
  }
}
