import { type Config, ConfigError } from '../config.js';
import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';

/** Settings that can take effect while the server runs, and how. */
export type Reloadable = Readonly<Partial<Record<keyof Config, (config: Config) => void>>>;

/**
 * Reads the settings again and applies those that it can; a bad one changes nothing.
 * @returns the settings now in force.
 */
export function reload(current: Config, read: () => Config, reloadable: Reloadable, log: Logger): Config {
  let next: Config;
  try {
    next = read();
  } catch (error) {
    log.error(
      `the settings are unchanged: ${error instanceof ConfigError ? error.message : describeError(error)}`,
    );
    return current;
  }
  const changed = (Object.keys(next) as (keyof Config)[]).filter(
    (name) => JSON.stringify(next[name]) !== JSON.stringify(current[name]),
  );
  const applied = changed.filter((name) => name in reloadable);
  for (const name of applied) reloadable[name]?.(next);
  // Names only: a value may be a secret.
  log.info(
    { applied },
    `settings read again: ${applied.length === 0 ? 'nothing to apply' : applied.join(', ')}`,
  );
  const waiting = changed.filter((name) => !(name in reloadable));
  if (waiting.length > 0)
    log.warn({ waiting }, `changed settings that need a restart: ${waiting.join(', ')}`);
  return { ...current, ...Object.fromEntries(applied.map((name) => [name, next[name]])) };
}
