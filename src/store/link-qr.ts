import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type QrLook, qrTypes } from '../api/qr.js';
import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { isKnownTag } from '../api/tags.js';
import type { Statement } from '../postgres/pool.js';
import { qrModules, qrPng, qrSvg } from '../runtime/qr-code.js';
import { links, shortUrlOf } from './link-table.js';
import { failed, type ReadOperation } from './operation.js';

const linkStatement: Statement = {
  name: 'link_qr',
  text: `SELECT ${links.columns} FROM short_urls WHERE id = $1 AND ($2::bigint IS NULL OR user_id = $2)`,
};

/** A code takes some ms of a core at worst: a thread draws one at a time, and at most this many wait. */
const DRAWINGS_MAX = 256;
let drawings = 0;
let lastDrawing: Promise<unknown> = Promise.resolve();

/** Raise this when the same options produce a different picture. */
const DRAWING_VERSION = 1;

/** The QR code of a link's short URL, whatever the link's state. */
export const drawQr: ReadOperation<InputFor<'drawQr'>> = {
  kind: 'read',
  async run(connection, { id }, { origin, owner }) {
    const [row] = await links.rows(connection, linkStatement, [id, owner ?? null]);
    if (row === undefined) return failed('URL_NOT_FOUND');
    return { ok: true, body: shortUrlOf(links.value(row, 'short_code'), origin) };
  },
  async finish(result, look, { knownTags }) {
    if (!result.ok) return result;
    if (drawings >= DRAWINGS_MAX) return failed('UNAVAILABLE');
    drawings += 1;
    const drawn = lastDrawing.then(() => nextTurn()).then(() => draw(result.body, look, knownTags));
    lastDrawing = drawn.catch(() => undefined);
    try {
      return await drawn;
    } finally {
      drawings -= 1;
    }
  },
};

async function draw(text: string, look: QrLook, knownTags: string): Promise<OperationResult> {
  const { format, size, margin, level } = look;
  const modules = qrModules(text, level);
  const side = modules.length + 2 * margin;
  if (side > size) return failed('QR_SIZE_TOO_SMALL', String(side));
  const file = { contentType: qrTypes[format], tag: tagOf(text, look) };
  if (isKnownTag(knownTags, file.tag)) return { ok: true, body: '', file };
  const content = format === 'svg' ? qrSvg(modules, size, margin) : await qrPng(modules, size, margin);
  return { ok: true, body: '', file: { ...file, content } };
}

/** Different for every text, and therefore for every host name. */
function tagOf(text: string, { format, size, margin, level }: QrLook): string {
  const drawn = JSON.stringify([DRAWING_VERSION, text, format, size, margin, level]);
  return `"${createHash('sha256').update(drawn).digest('base64url').slice(0, 22)}"`;
}
