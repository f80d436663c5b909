import { promisify } from 'node:util';
import { constants, crc32, deflate, type ZlibOptions } from 'node:zlib';
import { type ErrorCorrection, encodeQR } from 'qr';

/** Rows of modules, dark ones true; without a margin. */
export type Modules = readonly (readonly boolean[])[];

const strengths: readonly ErrorCorrection[] = ['low', 'medium', 'quartile', 'high'];
const levels = { L: 0, M: 1, Q: 2, H: 3 } as const;

const compress = promisify<Buffer, ZlibOptions, Buffer>(deflate);
/**
 * Lines of a QR code are runs of equal bytes: searching only for those takes a tenth of the time, and the
 * result is smaller.
 */
const RUNS: ZlibOptions = { strategy: constants.Z_RLE };

/**
 * The smallest QR code of a text with at least this level of error correction, or a higher one if that takes
 * no more modules.
 * @throws for a text that fits none: at level H, more than 1,273 bytes.
 */
export function qrModules(text: string, level: keyof typeof levels): Modules {
  const [least, ...higher] = strengths.slice(levels[level]) as [ErrorCorrection, ...ErrorCorrection[]];
  const smallest = encoded(text, least);
  const version = (smallest.length - 17) / 4;
  for (const ecc of higher.reverse()) {
    try {
      return encoded(text, ecc, version);
    } catch {
      // It does not fit, which the library reports before it draws anything.
    }
  }
  return smallest;
}

function encoded(text: string, ecc: ErrorCorrection, version?: number): Modules {
  // The library draws a margin of at least one module.
  const bordered = encodeQR(text, 'raw', { ecc, version, border: 1 });
  return bordered.slice(1, -1).map((row) => row.slice(1, -1));
}

/** @param size Width and height in pixels. @param margin Modules on each side. */
export function qrSvg(modules: Modules, size: number, margin: number): string {
  const side = modules.length + 2 * margin;
  const runs: string[] = [];
  for (const [y, row] of modules.entries()) {
    for (let x = row.indexOf(true); x !== -1; ) {
      const next = row.indexOf(false, x);
      const end = next === -1 ? row.length : next;
      runs.push(`M${x + margin} ${y + margin}h${end - x}v1h-${end - x}z`);
      x = row.indexOf(true, end);
    }
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 ${side} ${side}" shape-rendering="crispEdges">`,
    `<path fill="#fff" d="M0 0h${side}v${side}h-${side}z"/><path d="${runs.join('')}"/></svg>\n`,
  ].join('');
}

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
/** One bit a pixel, grey, white is 1; deflate, no interlacing. */
const BIT_DEPTH = 1;
const GREY = 0;
/** How a line of pixels is given: as it is, or as its difference from the one above. */
const FILTER_NONE = 0;
const FILTER_UP = 2;

/**
 * A PNG of exactly `size` × `size` pixels. Every module has the same whole number of them, for scanners fail
 * on modules that differ; what is left over widens the margin.
 * @param size At least one pixel for each module, the margin among them.
 */
export async function qrPng(modules: Modules, size: number, margin: number): Promise<Buffer> {
  const scale = Math.floor(size / (modules.length + 2 * margin));
  if (scale < 1) throw new Error(`${size} pixels are too few for ${modules.length} modules`);
  const offset = Math.floor((size - scale * modules.length) / 2);
  const stride = 1 + Math.ceil(size / 8);
  const lines = Buffer.alloc(stride * size);
  let drawn: number | undefined;
  for (let y = 0; y < size; y += 1) {
    const module = Math.floor((y - offset) / scale);
    const line = lines.subarray(y * stride, (y + 1) * stride);
    // Lines of one module, and of the margin, are the same; the difference is nothing but zeros.
    const row = module >= 0 && module < modules.length ? module : -1;
    line[0] = row === drawn ? FILTER_UP : FILTER_NONE;
    if (row !== drawn) drawLine(line, modules[row] ?? [], offset, scale);
    drawn = row;
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header[8] = BIT_DEPTH;
  header[9] = GREY;
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', await compress(lines, RUNS)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function drawLine(line: Buffer, row: readonly boolean[], offset: number, scale: number): void {
  line.fill(0xff, 1);
  for (const [index, isDark] of row.entries()) {
    if (!isDark) continue;
    const start = offset + index * scale;
    for (let x = start; x < start + scale; x += 1) {
      const byte = 1 + (x >> 3);
      line[byte] = (line[byte] ?? 0) & ~(0x80 >> (x & 7));
    }
  }
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(named.length + 8);
  framed.writeUInt32BE(data.length, 0);
  named.copy(framed, 4);
  framed.writeUInt32BE(crc32(named), framed.length - 4);
  return framed;
}
