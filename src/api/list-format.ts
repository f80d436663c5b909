import type { ErrorCode } from '../errors.js';
import { flagParameter, parameter } from './fields.js';
import type { Z } from './schema.js';

/** The forms in which a list is given, each with its content type. */
const contentTypes = {
  json: 'application/json',
  csv: 'text/csv; charset=utf-8',
  ndjson: 'application/x-ndjson',
} as const;

export type ListFormat = keyof typeof contentTypes;

const mediaTypes: Readonly<Record<string, ListFormat>> = {
  'application/json': 'json',
  'text/csv': 'csv',
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
};

/** Refusals of a list's form. */
export const formatErrors = ['INVALID_FORMAT', 'INVALID_RAW'] as const satisfies readonly ErrorCode[];

/** `raw`: a CSV's cells as they are, whatever a spreadsheet makes of them. */
export function listFormat(z: Z) {
  return {
    format: parameter(z)
      .transform((value) => value?.toLowerCase())
      .pipe(z.enum(['json', 'csv', 'ndjson'], { error: 'INVALID_FORMAT' satisfies ErrorCode }).optional())
      .meta({ type: 'string', enum: ['json', 'csv', 'ndjson'] }),
    raw: flagParameter(z, 'INVALID_RAW'),
  };
}

/** The format that the client prefers; JSON if it names none of ours. */
export function formatOf(accept: string): ListFormat {
  let best: ListFormat = 'json';
  let bestQuality = 0;
  for (const part of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim());
    const format = mediaTypes[type];
    const quality = Number(parameters.find((one) => one.startsWith('q='))?.slice(2) ?? 1);
    if (format === undefined || !(quality > bestQuality)) continue;
    best = format;
    bestQuality = quality;
  }
  return best;
}

/** The headers of a list in this format. @param name Of the list: `urls`. */
export function listHeaders(
  format: ListFormat,
  name: string,
): { readonly contentType: string; readonly headers: readonly (readonly [name: string, value: string])[] } {
  const contentType = contentTypes[format];
  const headers: (readonly [string, string])[] = [['Vary', 'Accept']];
  if (format !== 'json') headers.push(['Content-Disposition', `attachment; filename="${name}.${format}"`]);
  return { contentType, headers };
}
