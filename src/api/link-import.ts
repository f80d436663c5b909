import type { ErrorCode } from '../errors.js';
import { endsAfterItBegins, newLink, target, timeInFile } from './link-fields.js';
import type { Z } from './schema.js';

/** Services whose exports POST /urls/import reads, besides ours. */
export const exportNames = ['bitly', 'kutt', 'yourls', 'shlink'] as const;
export type ExportName = (typeof exportNames)[number];

/** What to do with a row whose code exists. */
export const conflictRules = ['fail', 'skip', 'update'] as const;
export type ConflictRule = (typeof conflictRules)[number];

/** A link in a file: the fields of a new link, and its history. */
export function importedLink(z: Z) {
  return z
    .object({
      ...newLink(z),
      // A row that changes an existing link need not name its target.
      original_url: target(z, 'INVALID_ORIGINAL_URL', 'REFUSED_ORIGINAL_URL').optional(),
      created_at: timeInFile(z, 'INVALID_CREATED_AT').optional(),
      updated_at: timeInFile(z, 'INVALID_UPDATED_AT').optional(),
      has_password: z.boolean({ error: 'INVALID_HAS_PASSWORD' satisfies ErrorCode }).optional(),
    })
    .superRefine(endsAfterItBegins);
}

export type ImportedLink = ReturnType<ReturnType<typeof importedLink>['parse']>;
export type ImportedField = Exclude<keyof ImportedLink, 'find_if_exists'>;
