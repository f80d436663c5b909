import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { root } from './compose.js';

export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface RuleFile {
  readonly groups: { readonly name: string; readonly rules: Rule[] }[];
}

export const rulesFolder = path.join(root, 'ops/prometheus/rules');

/** The committed rule files, by name. */
export function readRules(): Map<string, RuleFile> {
  return new Map(
    readdirSync(rulesFolder).map((name) => [
      name,
      parse(readFileSync(path.join(rulesFolder, name), 'utf8')) as RuleFile,
    ]),
  );
}

export function allRules(): Rule[] {
  return [...readRules().values()].flatMap(({ groups }) => groups.flatMap(({ rules }) => rules));
}

/** Words of PromQL that are not metrics. */
const keywords = new Set(
  'and or unless by without on ignoring group_left group_right bool offset atan2 inf nan start end'.split(
    ' ',
  ),
);

/** The metrics that an expression names. */
export function metricsIn(expression: string): string[] {
  const bare = expression
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
    .replaceAll(/\{[^}]*\}/g, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
    .replaceAll(/\b\d[\w.]*/g, ' ');
  const words = bare.match(/[A-Za-z_:][\w:]*(?!\w*\s*\()/g) ?? [];
  const names = words.filter((word) => !new RegExp(`\\b${word}\\s*\\(`).test(bare));
  return [...new Set(names)].filter((word) => !keywords.has(word.toLowerCase()));
}
