import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { FIRST_HEADER_BYTES, segmentFile } from '../../../src/journal/format.js';
import { FRAME_HEADER_BYTES, FRAME_MAGIC } from '../../../src/journal/frames.js';

/** A click as a server of version 1 noted it; `visit` is referrer, user agent, country and address. */
export interface FirstClick {
  readonly urlId: number;
  readonly shortCode: string;
  readonly target: string;
  readonly visit?: readonly [string, string, string, string];
  readonly isHead?: boolean;
}

/** Writes a segment as servers did before version 2, a frame a turn; its bytes are src/journal/frames.ts's. */
export function writeFirstVersion(
  folder: string,
  journalId: string,
  turns: readonly (readonly FirstClick[])[],
  timeMs: number,
): string {
  const header = Buffer.alloc(FIRST_HEADER_BYTES);
  header.write('SWYCLICK', 0, 'latin1');
  header.writeUInt32LE(1, 8);
  header.writeUInt32LE(FIRST_HEADER_BYTES, 12);
  Buffer.from(journalId.replaceAll('-', ''), 'hex').copy(header, 16);
  header.writeDoubleLE(timeMs, 32);
  header.writeUInt32LE(1, 40);
  header.writeUInt32LE(crc32(header.subarray(0, 44)), 44);
  const links = new Map<string, number>();
  const texts = new Map<string, number>();
  let clicksBefore = 0;
  const frames = turns.map((clicks) => {
    const definitions: Buffer[] = [];
    const [firstLink, firstText] = [links.size, texts.size + 1];
    const words = clicks.flatMap((click) => {
      if (!links.has(click.shortCode)) {
        links.set(click.shortCode, links.size);
        definitions.push(definition(1, click.shortCode, click.target, click.urlId));
      }
      const link = links.get(click.shortCode) ?? 0;
      if (click.visit === undefined) return [link];
      const numbers = click.visit.map((text) => {
        if (text === '') return 0;
        if (!texts.has(text)) {
          texts.set(text, texts.size + 1);
          definitions.push(definition(2, '', text, 0));
        }
        return texts.get(text) ?? 0;
      });
      return [(link | ((click.isHead === true ? 1 : 0) << 28)) >>> 0, ...numbers];
    });
    const defined = Buffer.concat(definitions);
    const frame = Buffer.alloc(FRAME_HEADER_BYTES + defined.length + words.length * 4);
    frame.writeUInt32LE(FRAME_MAGIC, 0);
    frame.writeUInt32LE(frame.length, 4);
    frame.writeUInt32LE(clicks[0]?.visit === undefined ? 0 : 1, 12);
    frame.writeDoubleLE(timeMs, 16);
    frame.writeUInt32LE(defined.length, 24);
    frame.writeUInt32LE(firstLink, 28);
    frame.writeUInt32LE(clicksBefore, 32);
    frame.writeUInt32LE(firstText, 36);
    defined.copy(frame, FRAME_HEADER_BYTES);
    for (const [index, word] of words.entries())
      frame.writeUInt32LE(word, FRAME_HEADER_BYTES + defined.length + index * 4);
    frame.writeUInt32LE(crc32(frame.subarray(12)), 8);
    clicksBefore += clicks.length;
    return frame;
  });
  const file = path.join(folder, segmentFile(journalId, 1));
  writeFileSync(file, Buffer.concat([header, ...frames]));
  return file;
}

function definition(kind: 1 | 2, code: string, text: string, urlId: number): Buffer {
  const header = kind === 1 ? 24 : 8;
  const body = Buffer.from(code + text);
  const bytes = Buffer.alloc(Math.ceil((header + body.length) / 4) * 4);
  bytes.writeUInt8(kind, 0);
  if (kind === 1) {
    bytes.writeUInt16LE(Buffer.byteLength(code), 2);
    bytes.writeBigUInt64LE(BigInt(urlId), 8);
  }
  bytes.writeUInt32LE(Buffer.byteLength(text), 4);
  body.copy(bytes, header);
  return bytes;
}
