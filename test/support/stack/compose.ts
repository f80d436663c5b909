import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

/** The repository's top folder. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

export interface Service {
  readonly image?: string;
  readonly build?: unknown;
  readonly command?: string | readonly string[];
  readonly environment?: Readonly<Record<string, string | number | null>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly restart?: string;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: readonly string[] | Readonly<Record<string, { condition: string }>>;
  readonly networks?: readonly string[];
  readonly container_name?: string;
  readonly profiles?: readonly string[];
  readonly mem_limit?: string;
  readonly cpus?: number | string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly privileged?: boolean;
  readonly scale?: string;
  readonly user?: string;
  readonly entrypoint?: readonly string[];
  readonly network_mode?: string;
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { driver?: string }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, unknown>>;
}

export const composeText = readFileSync(path.join(root, 'docker-compose.yml'), 'utf8');

/** docker-compose.yml with its variables put in, as Compose does it: into the values, once they are parsed. */
export function readCompose(variables: Readonly<Record<string, string>> = {}): Compose {
  return fill(parse(composeText, { merge: true }), variables) as Compose;
}

function fill(value: unknown, variables: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') return interpolate(value, variables);
  if (Array.isArray(value)) return value.map((item) => fill(item, variables));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, fill(item, variables)]));
}

/** Names of the variables that docker-compose.yml asks the environment for, by whatever form. */
export function composeVariables(): string[] {
  const named = [...composeText.matchAll(/\$\{(\w+)/g)].map(([, name]) => name ?? '');
  const passedOn = Object.values(readCompose().services).flatMap(({ environment = {} }) =>
    Object.entries(environment).flatMap(([name, value]) => (value === null ? [name] : [])),
  );
  return [...new Set([...named, ...passedOn])].sort();
}

/**
 * The forms in use: ${X}, ${X:-otherwise}, ${X:+where set} and ${X:?what to do}; the last is empty here. Inner ones
 * come first.
 */
function interpolate(text: string, variables: Readonly<Record<string, string>>): string {
  const filled = text.replaceAll(
    /\$\{(\w+)(?::([-+?])([^{}]*))?\}/g,
    (_, name: string, form: string, word: string) => {
      const value = variables[name] ?? '';
      if (form === '?') return value;
      if (form === '+') return value === '' ? '' : word;
      return value === '' ? (word ?? '') : value;
    },
  );
  return filled === text ? text : interpolate(filled, variables);
}

/** A service's environment with its defaults. */
export function environmentOf(service: string): Record<string, string> {
  const { environment = {} } = readCompose().services[service] ?? {};
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value === null ? [] : [[name, String(value)]])),
  );
}
