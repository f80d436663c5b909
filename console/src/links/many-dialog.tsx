import { useState } from 'preact/hooks';
import { sentenceOf } from '../api/call.js';
import { createLinks } from '../api/links.js';
import type { Link } from '../api/types.js';
import { BadRows } from '../parts/bad-rows.js';
import { Copy } from '../parts/copy.js';
import { Dialog } from '../parts/dialog.js';
import { Fault, Field } from '../parts/field.js';
import { csvBlob, saveBlob } from '../parts/save.js';
import { spoken } from '../parts/target.js';
import { count } from '../parts/time.js';
import { tagsOf } from './options.js';

interface ManyDialogProps {
  readonly lines: string;
  readonly onClose: () => void;
  readonly onMade: () => void;
  readonly tags: readonly string[];
}

interface Line {
  readonly url: string;
  readonly code: string;
}

/** A line is a target, optionally followed by a blank, tab or comma and a short code. */
function linesOf(text: string): Line[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const [, url = line, code = ''] = /^(\S+?)(?:[\s,;]+([\w-]+))?$/.exec(line) ?? [];
      return { url, code };
    });
}

interface Outcome {
  readonly made: readonly Link[];
  readonly refused: readonly { readonly line: number; readonly url: string; readonly error: string }[];
}

/** The API creates up to this many at once. */
const BATCH = 1000;

export function ManyDialog({ lines: given, onClose, onMade, tags: known }: ManyDialogProps) {
  const [text, setText] = useState(given);
  const [tags, setTags] = useState('');
  const [fault, setFault] = useState('');
  const [done, setDone] = useState<number>();
  const [outcome, setOutcome] = useState<Outcome>();
  const lines = linesOf(text);
  const repeated = lines.length - new Set(lines.map(({ url }) => url)).size;

  const make = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (done !== undefined || lines.length === 0) return;
    const made: Link[] = [];
    const refused: { line: number; url: string; error: string }[] = [];
    setFault('');
    setDone(0);
    try {
      for (let from = 0; from < lines.length; from += BATCH) {
        const batch = lines.slice(from, from + BATCH);
        const { results } = await createLinks(
          batch.map(({ url, code }) => ({
            original_url: url,
            ...(code === '' ? {} : { short_code: code }),
            ...(tags.trim() === '' ? {} : { tags: tagsOf(tags) }),
          })),
        );
        for (const { index, url, error } of results) {
          if (url !== undefined) made.push(url);
          else refused.push({ line: from + index + 1, url: batch[index]?.url ?? '', error: error ?? '' });
        }
        setDone(from + batch.length);
      }
    } catch (error) {
      setFault(sentenceOf(error));
    }
    setDone(undefined);
    if (made.length > 0) onMade();
    if (made.length + refused.length > 0) setOutcome({ made, refused });
  };
  return (
    <Dialog title="Many at once" onClose={onClose}>
      {outcome === undefined ? (
        <form onSubmit={make} noValidate>
          <Field
            label="One target per line"
            hint="Optionally followed by a short code"
            lines={10}
            value={text}
            onValue={setText}
            hasFirstFocus
          />
          <Field
            label="Tags for all of them"
            hint="Separated by commas"
            list={known}
            value={tags}
            onValue={setTags}
          />
          {repeated > 0 ? (
            <p class="hint">{count(repeated)} are repeated; each gets its own short link</p>
          ) : null}
          {fault === '' ? null : <Fault>{fault}</Fault>}
          {done === undefined ? null : (
            <progress aria-label="Links created" max={lines.length} value={done} />
          )}
          <div class="dialog-end">
            <button type="button" onClick={onClose}>
              Cancel
            </button>
            <button type="submit" class="primary" aria-disabled={lines.length === 0 || done !== undefined}>
              Shorten {lines.length === 0 ? '' : count(lines.length)}
            </button>
          </div>
        </form>
      ) : (
        <Made outcome={outcome} fault={fault} onClose={onClose} />
      )}
    </Dialog>
  );
}

function Made({
  outcome,
  fault,
  onClose,
}: {
  readonly outcome: Outcome;
  readonly fault: string;
  readonly onClose: () => void;
}) {
  const { made, refused } = outcome;
  const save = (): void => {
    const rows = made.map((link) => [link.short_url, link.original_url, link.tags.join(',')]);
    saveBlob(csvBlob([['short_url', 'original_url', 'tags'], ...rows]), 'short-links.csv');
  };
  return (
    <div class="report">
      <p role="status">
        {count(made.length)} created{refused.length === 0 ? '' : `, ${count(refused.length)} refused`}
      </p>
      {fault === '' ? null : <Fault>{fault}</Fault>}
      {refused.length === 0 ? null : (
        <BadRows rows={refused.map(({ line, url, error }) => ({ line, error: `${error} · ${url}` }))} />
      )}
      {made.length === 0 ? null : (
        <ul class="made-list">
          {made.slice(0, 200).map((link) => (
            <li key={link.id}>
              <span dir="ltr">{spoken(link.short_url)}</span>
              <span class="path">{spoken(link.original_url)}</span>
            </li>
          ))}
        </ul>
      )}
      <div class="dialog-end">
        {made.length === 0 ? null : (
          <>
            <Copy text={made.map((link) => link.short_url).join('\n')} of="all short URLs" label="Copy all" />
            <button type="button" onClick={save}>
              Download as CSV
            </button>
          </>
        )}
        <button type="button" class="primary" onClick={onClose}>
          Done
        </button>
      </div>
    </div>
  );
}
