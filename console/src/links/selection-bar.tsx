import { useState } from 'preact/hooks';
import { Refused, sentenceOf } from '../api/call.js';
import { changeLinks } from '../api/links.js';
import type { Link, LinkChange } from '../api/types.js';
import { Field } from '../parts/field.js';
import { csvBlob, saveBlob } from '../parts/save.js';
import { fromLocalField } from '../parts/time.js';
import { say } from '../parts/toast.js';
import { tagsOf } from './options.js';
import { removeWithUndo } from './remove.js';

interface SelectionBarProps {
  readonly links: readonly Link[];
  readonly onDone: () => void;
  readonly onClear: () => void;
  readonly tags: readonly string[];
}

type Asking = 'tag' | 'expire' | undefined;

/** The actions on all selected links, in place of the filters. */
export function SelectionBar({ links, onDone, onClear, tags }: SelectionBarProps) {
  const [asking, setAsking] = useState<Asking>();
  const [typed, setTyped] = useState('');
  const [error, setError] = useState('');

  const change = async (
    sets: readonly (readonly [ids: readonly number[], set: LinkChange])[],
  ): Promise<void> => {
    try {
      const answers = await Promise.all(sets.map(([ids, set]) => changeLinks(ids, set)));
      const failed = answers.reduce((sum, answer) => sum + answer.failed, 0);
      const updated = answers.reduce((sum, answer) => sum + answer.updated, 0);
      say(`${updated} changed${failed === 0 ? '' : `, ${failed} not`}`);
      setAsking(undefined);
      onDone();
    } catch (fault) {
      const isField = fault instanceof Refused && fault.field !== '';
      if (isField && asking !== undefined) setError(sentenceOf(fault));
      else say(sentenceOf(fault));
    }
  };
  const all = links.map(({ id }) => id);
  const ask = (what: Asking): void => {
    setAsking(asking === what ? undefined : what);
    setTyped('');
    setError('');
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    if (asking === 'tag') void change(withTags(links, tagsOf(typed)));
    else void change([[all, { expires_at: fromLocalField(typed) }]]);
  };
  return (
    <section class="selection" aria-label="Selected links">
      <div class="selection-bar">
        <strong role="status">{links.length} selected</strong>
        <button type="button" aria-expanded={asking === 'tag'} onClick={() => ask('tag')}>
          Tag
        </button>
        <button type="button" onClick={() => void change([[all, { is_active: false }]])}>
          Pause
        </button>
        <button type="button" onClick={() => void change([[all, { is_active: true }]])}>
          Resume
        </button>
        <button type="button" aria-expanded={asking === 'expire'} onClick={() => ask('expire')}>
          Expire
        </button>
        <button type="button" onClick={() => saveBlob(csvBlob(rowsOf(links)), 'links.csv')}>
          Export selected
        </button>
        <button
          type="button"
          class="danger"
          onClick={() => {
            removeWithUndo(links, onDone);
            onClear();
          }}
        >
          Delete
        </button>
        <button type="button" class="quiet selection-clear" onClick={onClear}>
          Clear selection
        </button>
      </div>
      {asking === undefined ? null : (
        <form class="selection-form" onSubmit={submit} noValidate>
          {asking === 'tag' ? (
            <Field
              label="Add tags"
              name="tags"
              hint="Separated by commas"
              list={tags}
              value={typed}
              onValue={setTyped}
              error={error}
            />
          ) : (
            <Field
              label="Expires"
              name="expires_at"
              hint="Empty: never"
              type="datetime-local"
              value={typed}
              onValue={setTyped}
              error={error}
            />
          )}
          <button type="submit" class="primary">
            {asking === 'tag' ? 'Add' : 'Set'}
          </button>
        </form>
      )}
    </section>
  );
}

/** Each link keeps its tags: links that end up with the same ones are changed together. */
function withTags(links: readonly Link[], added: readonly string[]): [number[], LinkChange][] {
  const groups = new Map<string, [number[], LinkChange]>();
  for (const { id, tags } of links) {
    const all = [...new Set([...tags, ...added.map((tag) => tag.toLowerCase())])].sort();
    const group = groups.get(all.join()) ?? [[], { tags: all }];
    group[0].push(id);
    groups.set(all.join(), group);
  }
  return [...groups.values()];
}

/** The columns that an import accepts. */
function rowsOf(links: readonly Link[]): string[][] {
  const columns = [
    'short_code',
    'original_url',
    'title',
    'is_active',
    'tags',
    'expires_at',
    'short_url',
    'click_count',
  ] as const;
  const cells = links.map((link) =>
    columns.map((column) => {
      const value = link[column];
      return Array.isArray(value) ? value.join(',') : String(value ?? '');
    }),
  );
  return [[...columns], ...cells];
}
