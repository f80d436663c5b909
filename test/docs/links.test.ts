import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeConsumeMetrics } from '../../src/consume/consume-metrics.js';
import { describeMetrics } from '../../src/ops/metrics.js';
import { root } from '../support/stack/compose.js';
import {
  anchorsOf,
  brokenLinks,
  codeIn,
  hasTest,
  listDocuments,
  missingPaths,
  namesInCapitals,
  readDocument,
  testReferences,
} from '../support/stack/documents.js';
import { allRules } from '../support/stack/rules.js';

const documents = listDocuments();
const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

const variables = namesInCapitals();

it('the documents are found', () => {
  expect(documents).toEqual(expect.arrayContaining(['README.md', 'Docs/ARCHITECTURE.md']));
  expect(documents.some((name) => name.startsWith('node_modules'))).toBe(false);
});

describe.each(documents)('%s', (document) => {
  const text = readDocument(document);

  it('links to files and headings that are there', () => {
    expect(brokenLinks(document, text)).toEqual([]);
  });

  it('names files that are there', () => {
    expect(missingPaths(text)).toEqual([]);
  });

  it('names npm scripts that are there', () => {
    const named = codeIn(text).flatMap((code) => [...code.matchAll(/\bnpm run ([\w:-]+)/g)]);
    expect(named.map(([, script]) => script ?? '').filter((script) => !(script in scripts))).toEqual([]);
  });

  it('names variables that are there', () => {
    const named = codeIn(text).flatMap((code) => [...code.matchAll(/^\$?\{?([A-Z]+(?:_[A-Z]+)+)\b/g)]);
    expect(named.map(([, name]) => name ?? '').filter((name) => !variables.has(name))).toEqual([]);
  });

  it('names metrics that are there', () => {
    const known = new Set([
      ...describeMetrics().flatMap(({ name, type }) =>
        type === 'histogram' ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
      ),
      ...describeConsumeMetrics().map(({ name }) => name),
      ...allRules().map(({ record }) => record),
    ]);
    const pattern = /(?<![\w.:/-])(?:switchyard_|switchyard:\w+:|clicks_|http_request)[\w:]*\w(?![\w*(.=-])/g;
    const named = codeIn(text).flatMap((code) => [...code.matchAll(pattern)].map(([name]) => name));
    // A name of the journal's bookkeeping, of a database role or of a volume is no metric.
    const others = new Set([
      'switchyard_reader',
      'switchyard_invalidation',
      'switchyard_database',
      'switchyard_journal',
    ]);
    expect(named.filter((name) => !known.has(name) && !others.has(name))).toEqual([]);
  });
});

describe('Docs/FAILURE_MODES.md', () => {
  const document = 'Docs/FAILURE_MODES.md';
  const references = testReferences(document, readDocument(document));

  it('names a test for most of the failures', () => {
    expect(references.length).toBeGreaterThan(20);
  });

  it('names tests that are there, by their titles', () => {
    expect(references.filter((reference) => !hasTest(reference))).toEqual([]);
  });
});

describe('what is broken is noticed', () => {
  const text = [
    '# One heading',
    '## It’s a `second`, (with) signs',
    '## One heading',
    '[there](ARCHITECTURE.md#a-redirect) [not there](NOWHERE.md) [no heading](ARCHITECTURE.md#nothing)',
    '[own](#one-heading-1) [own](#its-a-second-with-signs) [not own](#three) [far](https://example.com/x.md)',
    '`src/main.ts` `test/torture/` `ops/nginx/templates/*.template` `src/nothing.ts` `ops/*.nothing`',
    '```sh',
    'node scripts/docs.mjs --check && node scripts/nothing.mjs > bench/results/x.json',
    '```',
    '[one](../test/resilience/outage.test.ts) “PostgreSQL frozen”, [two](../test/resilience/outage.test.ts)',
    '“no such title”, [three](../test/resilience/outage.test.ts), [four](../test/nothing.test.ts) “PostgreSQL”,',
    '[five](../test/resilience/lifecycle.test.ts) “a %s thread that ends”',
  ].join('\n');

  it('a link', () => {
    expect(brokenLinks('Docs/X.md', text)).toEqual([
      'NOWHERE.md',
      'ARCHITECTURE.md#nothing',
      '#three',
      '../test/nothing.test.ts',
    ]);
  });

  it('a path', () => {
    expect(missingPaths(text).sort()).toEqual(['ops/*.nothing', 'scripts/nothing.mjs', 'src/nothing.ts']);
  });

  it('a test', () => {
    const references = testReferences('Docs/X.md', text);
    expect(references.map(hasTest)).toEqual([true, false, false, false, true]);
  });

  it('anchors are those that GitHub makes', () => {
    expect([...anchorsOf(text)]).toEqual(['one-heading', 'its-a-second-with-signs', 'one-heading-1']);
  });
});
