import { nearestName } from '../runtime/nearest-name.js';

export interface MisspeltSetting {
  readonly given: string;
  readonly meant: string;
}

/**
 * Variables that look like a setting but are none. All others belong to other programs.
 * @param given Names of the variables of the environment and the .env file.
 * @param known Names of the settings.
 */
export function misspeltSettings(given: Iterable<string>, known: readonly string[]): MisspeltSetting[] {
  const misspelt: MisspeltSetting[] = [];
  for (const name of given) {
    if (known.includes(name)) continue;
    const nearest = nearestName(name, known);
    if (nearest?.isNear === true) misspelt.push({ given: name, meant: nearest.name });
  }
  return misspelt;
}
