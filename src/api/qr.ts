import type { ErrorCode } from '../errors.js';
import { parameter, pathId } from './fields.js';
import { route } from './route.js';
import type { Z } from './schema.js';

export const qrFormats = ['svg', 'png'] as const;
/** How much of a QR code may be unreadable: about 7, 15, 25 and 30 %. */
export const qrLevels = ['L', 'M', 'Q', 'H'] as const;
export const QR_SIZES = { least: 64, most: 2048 } as const;
export const QR_MARGINS = { least: 0, most: 16 } as const;

export type QrFormat = (typeof qrFormats)[number];
export type QrLevel = (typeof qrLevels)[number];

/** The look of a QR code. */
export interface QrLook {
  readonly format: QrFormat;
  /** Pixels per side, including the margin. */
  readonly size: number;
  /** Modules on each side. */
  readonly margin: number;
  /** The minimum level of error correction. */
  readonly level: QrLevel;
}

export const qrTypes: Readonly<Record<QrFormat, string>> = { svg: 'image/svg+xml', png: 'image/png' };

export const qrRoutes = [
  route({
    method: 'GET',
    path: '/urls/:id/qr',
    summary:
      'a QR code of the short URL; `format` svg or png, `size` in pixels, `margin` in modules, `level`',
    scope: 'links:read',
    performs: 'call',
    operation: 'drawQr',
    answer: {
      files: Object.values(qrTypes),
      statuses: [304],
      headers: { ETag: 'of this look and host name', 'Cache-Control': 'it is to be asked about each time' },
    },
    kind: 'read',
    params: (z) => z.object({ id: pathId(z, 'URL_NOT_FOUND') }),
    query: (z) =>
      z.object({
        format: oneOf(z, qrFormats, 'svg', 'INVALID_QR_FORMAT'),
        size: numberWithin(z, QR_SIZES, 256, 'INVALID_QR_SIZE'),
        margin: numberWithin(z, QR_MARGINS, 4, 'INVALID_QR_MARGIN'),
        level: oneOf(z, qrLevels, 'M', 'INVALID_QR_LEVEL'),
      }),
    bodyLimit: 'none',
    headers: ['if-none-match'],
    barrier: 'none',
    usesOrigin: true,
    status: 200,
    errors: [
      'INVALID_QR_FORMAT',
      'INVALID_QR_SIZE',
      'QR_SIZE_TOO_SMALL',
      'INVALID_QR_MARGIN',
      'INVALID_QR_LEVEL',
      'URL_NOT_FOUND',
    ],
  }),
] as const;

function oneOf<const Value extends string>(
  z: Z,
  values: readonly Value[],
  fallback: Value,
  error: ErrorCode,
) {
  return parameter(z)
    .transform((value): Value => {
      return value === undefined ? fallback : (value as Value);
    })
    .refine((value) => values.includes(value), { error })
    .meta({ type: 'string', enum: [...values], default: fallback });
}

function numberWithin(
  z: Z,
  { least, most }: { readonly least: number; readonly most: number },
  fallback: number,
  error: ErrorCode,
) {
  return parameter(z)
    .refine((value) => value === undefined || /^\d{1,6}$/.test(value), { error })
    .transform((value) => (value === undefined ? fallback : Number(value)))
    .refine((value) => value >= least && value <= most, { error })
    .meta({ type: 'integer', minimum: least, maximum: most, default: fallback });
}
