import jsqr from 'jsqr';
import { PNG } from 'pngjs';

// The package is a CommonJS module, whose exports are the function itself; its declarations say otherwise.
const scan = jsqr as unknown as (typeof jsqr)['default'];

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGBA. */
  readonly data: Uint8ClampedArray;
}

export function readPng(bytes: Uint8Array): Picture {
  const { width, height, data } = PNG.sync.read(Buffer.from(bytes));
  return { width, height, data: new Uint8ClampedArray(data) };
}

/** The content of a QR code, read by a library other than the server's. */
export function scanQr({ data, width, height }: Picture): string | undefined {
  return scan(data, width, height)?.data;
}

export function isDark({ data, width }: Picture, x: number, y: number): boolean {
  return (data[(y * width + x) * 4] ?? 255) < 128;
}

/** The pixels of an SVG that is drawn in rectangles, as the server draws them. */
export function drawSvg(svg: string): Picture & { readonly side: number } {
  const [, width, height, side] =
    /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="(\d+)" height="(\d+)" viewBox="0 0 (\d+) \3"/.exec(
      svg,
    ) ?? [];
  const pixels = { width: Number(width), height: Number(height) };
  const data = new Uint8ClampedArray(pixels.width * pixels.height * 4).fill(255);
  const scale = pixels.width / Number(side);
  for (const [, x, y, length] of svg.matchAll(/M(\d+) (\d+)h(\d+)v1h-\3z/g)) {
    for (let row = Math.ceil(Number(y) * scale); row < (Number(y) + 1) * scale; row += 1)
      for (let at = Math.ceil(Number(x) * scale); at < (Number(x) + Number(length)) * scale; at += 1)
        data.fill(0, (row * pixels.width + at) * 4, (row * pixels.width + at) * 4 + 3);
  }
  return { ...pixels, data, side: Number(side) };
}
