// What `docker build` would be sent: the files of a folder that .dockerignore lets through.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** @returns {string[]} paths within the folder, sorted. */
export function contextFiles(folder) {
  const file = path.join(folder, '.dockerignore');
  const isIgnored = parseIgnore(existsSync(file) ? readFileSync(file, 'utf8') : '');
  const found = [];
  const walk = (inner) => {
    for (const entry of readdirSync(path.join(folder, inner), { withFileTypes: true })) {
      const name = path.posix.join(inner, entry.name);
      // A pattern may let through what lies within an ignored folder; these two never have any of it.
      if (name === 'node_modules' || name === '.git') continue;
      if (entry.isDirectory()) walk(name);
      else if (!isIgnored(name)) found.push(name);
    }
  };
  walk('');
  return found.sort();
}

/** The last pattern that matches a path, or a folder above it, decides. */
export function parseIgnore(text) {
  const rules = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const isException = line.startsWith('!');
      return { isException, expression: toExpression(line.slice(isException ? 1 : 0)) };
    });
  return (name) => {
    let isIgnored = false;
    for (const { isException, expression } of rules) if (expression.test(name)) isIgnored = !isException;
    return isIgnored;
  };
}

function toExpression(pattern) {
  const source = pattern
    .replace(/^\/+|\/+$/g, '')
    .split(/(\*\*\/|\*\*|\*|\?)/)
    .map((part) => wildcards[part] ?? part.replaceAll(/[\\^$.+()[\]{}|]/g, '\\$&'))
    .join('');
  return new RegExp(`^${source}(/|$)`);
}

const wildcards = { '**/': '(?:.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]' };
