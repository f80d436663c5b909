import { z } from 'zod';

/** What the value of a record in the topic of clicks says; Docs/CLICK_STREAM.md is generated from it. */
export const clickRecord = z.object({
  v: z.literal(1).describe('Version of this form; a later one may only add fields'),
  code: z.string().min(1).describe('Short code, also the key of the record'),
  link: z
    .string()
    .regex(/^[1-9]\d{0,18}$/)
    .describe('Id of the link, in decimal; another database, or a restored one, may give it to another link'),
  made: z
    .number()
    .int()
    .optional()
    .describe(
      'When the link was created, in ms since 1970; with `link` and `code` it identifies the link. Absent only in clicks of a journal of version 1',
    ),
  at: z.number().int().describe('When the click was answered, in ms since 1970, by the clock of its gateway'),
  target: z.string().describe('Where the visitor was sent, as the link was then'),
  kind: z
    .literal('preview')
    .optional()
    .describe(
      'What is no click: a HEAD request, or a crawler, preview or tool with `COUNT_BOTS=false`; absent for a click',
    ),
  referrer: z.string().optional().describe('Host of the referring page'),
  browser: z.string().optional().describe('Browser'),
  os: z.string().optional().describe('Operating system'),
  device: z.string().optional().describe('Kind of device'),
  bot: z.literal(true).optional().describe('Whether the user agent is a known bot’s'),
  country: z.string().optional().describe('Country, from `CLICK_COUNTRY_HEADER`'),
  address: z.string().optional().describe('Anonymised address; only with `CLICK_DETAILS=full`'),
  method: z.literal('HEAD').optional().describe('The request was a HEAD'),
});

export type ClickRecord = z.output<typeof clickRecord>;

/** Headers of a record. */
export const Header = {
  /** Id of the database whose link was clicked (`switchyard_database`); absent if the journal doesn't say. */
  DATABASE: 'database',
  /** `<journal id>:<number>`, the number of clicks before it in its journal: no two records have the same. */
  JOURNAL: 'journal',
} as const;

/** A value that is no click, or one that this version can't read. */
export interface NoRecord {
  readonly reason: string;
}

/** The value of a record: compact JSON. */
export function encodeClick(click: ClickRecord): string {
  return JSON.stringify(click);
}

export function decodeClick(value: Uint8Array | null): ClickRecord | NoRecord {
  if (value === null) return { reason: 'no value' };
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8'));
  } catch {
    return { reason: 'no JSON' };
  }
  const parsed = clickRecord.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return { reason: `${issue?.path.join('.') || 'value'}: ${issue?.message}` };
}

export function isNoRecord(decoded: ClickRecord | NoRecord): decoded is NoRecord {
  return 'reason' in decoded;
}

/** A line of the documentation for each field. */
export function describeClickRecord(): {
  readonly field: string;
  readonly type: string;
  readonly meaning: string;
}[] {
  const { properties = {}, required = [] } = z.toJSONSchema(clickRecord, { io: 'input' }) as {
    properties?: Record<
      string,
      { readonly type?: string; readonly const?: unknown; readonly description?: string }
    >;
    required?: string[];
  };
  return Object.entries(properties).map(([field, { type, const: only, description }]) => ({
    field,
    type: `${only === undefined ? type : JSON.stringify(only)}${required.includes(field) ? '' : ', optional'}`,
    meaning: description ?? '',
  }));
}
