import { readFileSync } from 'node:fs';

let known: string | undefined | null = null;

/**
 * The id of this start of the system (UUID): memory that was shared with a file outlives every process, but
 * not the system. `undefined` if the system has none; then every start counts as another one.
 */
export function bootId(): string | undefined {
  if (known !== null) return known;
  try {
    const text = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    known = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? text : undefined;
  } catch {
    known = undefined;
  }
  return known;
}
