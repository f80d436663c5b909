import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { root } from './compose.js';

/** Top folders whose files a document may name; the others are generated, or installed. */
const made = new Set(['node_modules', 'dist', 'coverage', 'data', '.git']);
const folders = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !made.has(entry.name))
  .map(({ name }) => name);

/** All Markdown files of the repository, as paths from its top. */
export function listDocuments(folder = ''): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) return made.has(entry.name) ? [] : listDocuments(name);
    return name.endsWith('.md') ? [name] : [];
  });
}

/** Names in capitals that code, configuration or workflows use: variables, mostly. */
export function namesInCapitals(): Set<string> {
  const files = readdirSync(root, { withFileTypes: true }).flatMap((entry) =>
    entry.isFile()
      ? entry.name.endsWith('.md')
        ? []
        : [entry.name]
      : folders.includes(entry.name)
        ? sourcesIn(entry.name)
        : [],
  );
  return new Set(
    files.flatMap(
      (file) => readFileSync(path.join(root, file), 'utf8').match(/\b[A-Z]+(?:_[A-Z]+)+\b/g) ?? [],
    ),
  );
}

function sourcesIn(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) return sourcesIn(name);
    return /\.(ts|js|mjs|yml|sh|sql|template|example)$/.test(name) ? [name] : [];
  });
}

export function readDocument(document: string): string {
  return readFileSync(path.join(root, document), 'utf8');
}

/** The anchors of a text's headings, as GitHub makes them. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutCode(text).matchAll(/^#{1,6} +(.+?)[ #]*$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const slug = plain
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-');
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** Links whose file or heading is not there. */
export function brokenLinks(document: string, text: string): string[] {
  const links = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? '');
  return links.filter((link) => {
    if (/^[a-z]+:/i.test(link)) return false;
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? document : path.join(path.dirname(document), file);
    if (file !== '' && !existsSync(path.join(root, target))) return true;
    if (anchor === undefined) return false;
    const there = target === document ? text : target.endsWith('.md') ? readDocument(target) : '';
    return !anchorsOf(there).has(anchor);
  });
}

/** Paths of the repository that are named as code, inline or in a block, and do not exist. */
export function missingPaths(text: string): string[] {
  const start = folders.map((name) => name.replaceAll('.', '\\.')).join('|');
  const pattern = new RegExp(`(?<![\\w./<>$-])(?:${start})/[\\w./*-]*[\\w*/]`, 'g');
  const paths = codeIn(text).flatMap((code) => [...code.matchAll(pattern)].map(([found]) => found));
  // NNNN stands for a number; results are not kept.
  return paths.filter((name) => !/NNNN|(^|\/)results\//.test(name) && !isThere(name));
}

function isThere(name: string): boolean {
  const star = name.indexOf('*');
  if (star === -1) return existsSync(path.join(root, name));
  const folder = path.dirname(`${name.slice(0, star)}x`);
  const rest = new RegExp(
    `^${name
      .slice(folder.length + 1)
      .replaceAll('.', '\\.')
      .replaceAll('*', '.*')}$`,
  );
  const isFolder = statSync(path.join(root, folder), { throwIfNoEntry: false })?.isDirectory() ?? false;
  return isFolder && readdirSync(path.join(root, folder)).some((entry) => rest.test(entry));
}

/** A reference to a test: the link to its file, and a part of its title. */
export interface TestReference {
  readonly file: string;
  readonly title: string;
}

/** References of the form `[name](../test/x.test.ts) “title”`; the title is empty where none follows. */
export function testReferences(document: string, text: string): TestReference[] {
  const pattern = /\]\(([^)]+\.test\.ts)\)(?:\s+“([^”]+)”)?/g;
  return [...text.matchAll(pattern)].map(([, file = '', title = '']) => ({
    file: path.join(path.dirname(document), file),
    title: title.replaceAll(/\s+/g, ' '),
  }));
}

/** Whether the file has a test, or a group of tests, with these words in its title. */
export function hasTest({ file, title }: TestReference): boolean {
  if (title === '' || !existsSync(path.join(root, file))) return false;
  const source = readFileSync(path.join(root, file), 'utf8');
  const titles = source.matchAll(
    /\b(?:describe|it|test|run)\w*(?:\.\w+)*(?:\((?:[^()]|\([^()]*\))*\))?\(\s*(['"`])((?:\\.|(?!\1).)+)\1/g,
  );
  return [...titles].some(([, , found = '']) => found.includes(title));
}

/** Text in code: inline, and in blocks. */
export function codeIn(text: string): string[] {
  const blocks = [...text.matchAll(/^```.*\n([\s\S]*?)^```/gm)].map(([, code]) => code ?? '');
  const spans = [...withoutCode(text).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code ?? '');
  return [...blocks, ...spans];
}

/** Without code blocks, where text like a heading or a link is none. */
function withoutCode(text: string): string {
  return text.replaceAll(/^```.*\n[\s\S]*?^```/gm, '');
}
