import { useEffect, useState } from 'preact/hooks';
import { Choice, Field } from '../parts/field.js';
import { show, sorts, type View } from './view.js';

const states = [
  ['', 'Any state'],
  ['active', 'Active'],
  ['paused', 'Paused'],
] as const;

const TYPING_MS = 120;

/** Typing searches after a short pause; the address follows without an entry in the history. */
function useTyped(value: string, commit: (value: string) => void): [string, (value: string) => void] {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed === value) return undefined;
    const timer = window.setTimeout(() => commit(typed), TYPING_MS);
    return () => window.clearTimeout(timer);
  }, [typed]);
  return [typed, setTyped];
}

export function Filters({ view, tags }: { readonly view: View; readonly tags: readonly string[] }) {
  const [q, setQ] = useTyped(view.q, (value) => show(view, { q: value }, view.q === '' ? 'push' : 'replace'));
  const [tag, setTag] = useTyped(view.tag, (value) =>
    show(view, { tag: value.trim().toLowerCase() }, 'replace'),
  );
  const [owner, setOwner] = useTyped(view.owner, (value) => show(view, { owner: value.trim() }, 'replace'));
  // A narrow window shows these on request.
  const [isOpen, setOpen] = useState(false);
  const used = [view.tag, view.owner, view.state, view.sort].filter((one) => one !== '').length;
  return (
    <search class="filters">
      <Field
        class="filter-search"
        name="search"
        type="search"
        label="Search"
        isLabelHidden
        placeholder="Search code, title or target"
        value={q}
        onValue={setQ}
      />
      <button
        type="button"
        class="narrow-only"
        aria-expanded={isOpen}
        aria-label="Filters and sort"
        onClick={() => setOpen(!isOpen)}
      >
        Filters{used === 0 ? '' : ` · ${used}`}
      </button>
      <div class={isOpen ? 'filters-more open' : 'filters-more'}>
        <Field
          class="filter-tag"
          label="Tag"
          isLabelHidden
          placeholder="Tag"
          list={tags}
          value={tag}
          onValue={setTag}
        />
        <Field
          class="filter-owner"
          label="Owner"
          isLabelHidden
          placeholder="Owner’s id"
          inputMode="numeric"
          value={owner}
          onValue={setOwner}
        />
        <Choice
          label="State"
          isLabelHidden
          value={view.state}
          options={states}
          onValue={(state) => show(view, { state: state as View['state'] })}
        />
        <Choice
          label="Sort"
          isLabelHidden
          value={view.sort}
          options={sorts}
          onValue={(sort) => show(view, { sort })}
        />
      </div>
    </search>
  );
}
