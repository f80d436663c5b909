import { describe, expect, it } from 'vitest';
import { qrModules, qrPng, qrSvg } from '../../src/runtime/qr-code.js';
import { drawSvg, readPng, scanQr } from '../support/clients/qr.js';

const texts = ['https://e.co/aB3xYz', `https://links.example.com/${'a-Code_9'.repeat(16)}`] as const;
const levels = ['L', 'M', 'Q', 'H'] as const;

describe('a QR code', () => {
  it.each(texts)('of %s is read by another library at every level, margin and size', async (text) => {
    for (const level of levels) {
      const modules = qrModules(text, level);
      for (const margin of [0, 1, 4, 16]) {
        const side = modules.length + 2 * margin;
        for (const size of [side, side + 1, 2 * side - 1, 211].filter((one) => one >= Math.max(64, side))) {
          const picture = readPng(await qrPng(modules, size, margin));
          expect([picture.width, picture.height]).toEqual([size, size]);
          expect([level, margin, size, scanQr(picture)]).toEqual([level, margin, size, text]);
        }
        expect(scanQr(drawSvg(qrSvg(modules, 4 * side, margin)))).toBe(text);
      }
    }
  });

  it('takes no more modules for a level than it needs, and a higher level where there is room', () => {
    const [short] = texts;
    const sides = levels.map((level) => qrModules(short, level).length);
    expect(sides).toEqual([...sides].sort((a, b) => a - b));
    // 19 characters: 17 fit at level L into 21 modules a side, 20 at level Q into 25.
    expect(sides).toEqual([25, 25, 25, 29]);
    expect(qrModules(short, 'L')).toEqual(qrModules(short, 'Q'));
  });

  it('has a margin of at least the modules that were asked for, the same on all sides', async () => {
    const modules = qrModules(texts[0], 'M');
    const { data, width } = readPng(await qrPng(modules, 256, 4));
    // 25 modules and a margin of 8: 7 pixels each, and 25 left over.
    const dark = [...data.keys()].filter((index) => index % 4 === 0 && (data[index] ?? 255) < 128);
    const columns = dark.map((index) => (index / 4) % width);
    expect([Math.min(...columns), Math.max(...columns)]).toEqual([40, 40 + 25 * 7 - 1]);
    expect([Math.floor((dark[0] ?? 0) / 4 / width)]).toEqual([40]);
  });

  it('is not drawn in fewer pixels than it has modules', async () => {
    await expect(qrPng(qrModules(texts[1], 'H'), 64, 0)).rejects.toThrow('too few');
  });
});
