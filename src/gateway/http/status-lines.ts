import { reasonPhrases, type Status, statuses } from '../../api/statuses.js';

/** A status with its reason phrase, in the library's form. */
export const statusLines = Object.fromEntries(
  statuses.map((status) => [status, `${status} ${reasonPhrases[status]}`]),
) as Readonly<Record<Status, string>>;
