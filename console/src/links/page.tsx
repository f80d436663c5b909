import { useMemo, useRef, useState } from 'preact/hooks';
import { type LinkPage as Answer, listLinks } from '../api/links.js';
import type { Link } from '../api/types.js';
import { Copy } from '../parts/copy.js';
import { Dialog } from '../parts/dialog.js';
import { useLoad, useReturn } from '../parts/load.js';
import { Qr } from '../parts/qr.js';
import { useShortcuts } from '../parts/shortcuts.js';
import { count } from '../parts/time.js';
import { Waiting } from '../parts/waiting.js';
import { addressOf, go } from '../place.js';
import { useStore } from '../store.js';
import { EditDialog } from './edit-dialog.js';
import { ExportButton } from './export.js';
import { Filters } from './filters.js';
import { ImportDialog } from './import-dialog.js';
import { ManyDialog } from './many-dialog.js';
import { doomed, removeWithUndo, setActive } from './remove.js';
import { Row } from './row.js';
import { SelectionBar } from './selection-bar.js';
import { ShortenForm } from './shorten-form.js';
import { filtersOf, isFiltered, isOnlyCode, PAGE_SIZE, SEARCH_MIN, show, type View, viewOf } from './view.js';

type Open =
  | { readonly kind: 'many'; readonly lines: string }
  | { readonly kind: 'import'; readonly dropped?: File }
  | { readonly kind: 'edit' | 'qr'; readonly link: Link };

export function LinksPage({ query }: { readonly query: URLSearchParams }) {
  const view = viewOf(query);
  const filters = filtersOf(view);
  const key = `${filters}&after=${view.after}`;
  const list = useLoad(
    (signal) => {
      const asked = new URLSearchParams(filters);
      asked.set('limit', String(PAGE_SIZE));
      asked.set('with_total', 'true');
      if (view.after !== '') asked.set('after', view.after);
      return listLinks(asked, signal);
    },
    [key],
  );
  const gone = useStore(doomed);
  const [selected, setSelected] = useState<ReadonlyMap<number, Link>>(new Map());
  const [open, setOpen] = useState<Open>();
  const [current, setCurrent] = useState(-1);
  const links = (list.value?.links ?? []).filter(({ id }) => !gone.has(id));
  const hidden = (list.value?.links.length ?? 0) - links.length;
  const tags = useTags(links);
  // There is nothing to filter: show how to begin.
  const isBare =
    list.value?.links.length === 0 && list.error === undefined && !isFiltered(view) && view.after === '';
  // Somebody who comes back has often followed a link meanwhile.
  useReturn(list.reload);

  const select = (link: Link, isSelected: boolean): void => {
    const next = new Map(selected);
    if (isSelected) next.set(link.id, link);
    else next.delete(link.id);
    setSelected(next);
  };
  const done = (): void => {
    setSelected(new Map());
    list.reload();
  };
  const close = (): void => setOpen(undefined);

  const at = links[current];
  const table = useRef<HTMLTableElement>(null);
  const move = (by: number): void => {
    const next = Math.min(links.length - 1, Math.max(0, current + by));
    setCurrent(next);
    table.current?.querySelectorAll<HTMLElement>('a.short')[next]?.focus();
  };
  const withCurrent = (act: (link: Link) => void) => () => (at === undefined ? undefined : act(at));
  useShortcuts({
    j: () => move(1),
    k: () => move(-1),
    x: withCurrent((link) => select(link, !selected.has(link.id))),
    e: withCurrent((link) => setOpen({ kind: 'edit', link })),
    q: withCurrent((link) => setOpen({ kind: 'qr', link })),
    c: () => table.current?.querySelectorAll<HTMLElement>('.cell-short button')[current]?.click(),
    Escape: () => setSelected(new Map()),
  });

  return (
    <>
      <h1 class="unseen">Links</h1>
      <ShortenForm onMade={list.reload} onMany={(lines) => setOpen({ kind: 'many', lines })} tags={tags} />
      <section
        class="list"
        aria-label="Links"
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          const file = event.dataTransfer?.files[0];
          if (file === undefined) return;
          event.preventDefault();
          setOpen({ kind: 'import', dropped: file });
        }}
      >
        {selected.size > 0 ? (
          <SelectionBar
            links={[...selected.values()]}
            onDone={done}
            onClear={() => setSelected(new Map())}
            tags={tags}
          />
        ) : (
          <div class="list-bar">
            {isBare ? null : <Filters view={view} tags={tags} />}
            <div class="list-bar-end">
              {isBare ? null : (
                <>
                  <Total list={list.value} gone={hidden} />
                  <ExportButton filters={filters} total={list.value?.total} />
                </>
              )}
              <button type="button" onClick={() => setOpen({ kind: 'import' })}>
                Import
              </button>
            </div>
          </div>
        )}
        <Waiting of={list} />
        {links.length > 0 ? (
          <table class="links" ref={table} aria-busy={list.isLoading}>
            <caption class="unseen">Links, {isFiltered(view) ? 'filtered' : 'all of them'}</caption>
            <thead>
              <tr>
                <th class="cell-check" scope="col">
                  <label class="tap">
                    <input
                      type="checkbox"
                      aria-label="Select all on this page"
                      checked={links.every(({ id }) => selected.has(id))}
                      onChange={(event) =>
                        setSelected(
                          new Map(event.currentTarget.checked ? links.map((link) => [link.id, link]) : []),
                        )
                      }
                    />
                  </label>
                </th>
                <th scope="col">Short link</th>
                <th scope="col">Target</th>
                <th scope="col">
                  <span class="unseen">Tags and state</span>
                </th>
                <th scope="col" class="cell-spark">
                  30 days
                </th>
                <th scope="col" class="cell-clicks">
                  Clicks
                </th>
                <th scope="col" class="cell-menu">
                  <span class="unseen">More</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {links.map((link, index) => (
                <Row
                  key={link.id}
                  link={link}
                  isSelected={selected.has(link.id)}
                  isCurrent={index === current}
                  onSelect={(isSelected) => select(link, isSelected)}
                  onEdit={() => setOpen({ kind: 'edit', link })}
                  onQr={() => setOpen({ kind: 'qr', link })}
                  onPause={() => void setActive([link], !link.is_active, list.reload)}
                  onDelete={() => removeWithUndo([link], list.reload)}
                  onTag={(tag) => show(view, { tag })}
                />
              ))}
            </tbody>
          </table>
        ) : null}
        {list.value !== undefined && list.error === undefined && links.length === 0 ? (
          <Empty view={view} />
        ) : null}
        <Pages view={view} next={list.value?.next} />
      </section>
      {open?.kind === 'many' ? (
        <ManyDialog lines={open.lines} onClose={close} onMade={list.reload} tags={tags} />
      ) : null}
      {open?.kind === 'import' ? (
        <ImportDialog dropped={open.dropped} onClose={close} onDone={list.reload} />
      ) : null}
      {open?.kind === 'edit' ? (
        <EditDialog link={open.link} onClose={close} onDone={list.reload} tags={tags} />
      ) : null}
      {open?.kind === 'qr' ? (
        <Dialog title={`QR code of ${open.link.short_code}`} onClose={close}>
          <Qr id={open.link.id} url={open.link.short_url} code={open.link.short_code} size={256} />
        </Dialog>
      ) : null}
    </>
  );
}

/** Tags seen so far, offered while one is typed. */
function useTags(links: readonly Link[]): readonly string[] {
  const seen = useRef(new Set<string>());
  return useMemo(() => {
    for (const link of links) for (const tag of link.tags) seen.current.add(tag);
    return [...seen.current].sort();
  }, [links]);
}

interface TotalProps {
  readonly list: Answer | undefined;
  /** Deleted here, but counted by the server until the time to undo it is over. */
  readonly gone: number;
}

function Total({ list, gone }: TotalProps) {
  const { total: counted, isMinimum = false } = list ?? {};
  if (counted === undefined) return <span class="total" />;
  const total = counted - gone;
  const text = `${count(total)}${isMinimum ? '+' : ''}`;
  return (
    <span class="total" role="status">
      {text} {total === 1 && !isMinimum ? 'link' : 'links'}
    </span>
  );
}

function Empty({ view }: { readonly view: View }) {
  if (isFiltered(view))
    return (
      <div class="empty">
        <p>No links match.</p>
        {isOnlyCode(view) ? <p>Titles and targets are searched from {SEARCH_MIN} characters.</p> : null}
        <a href={addressOf('links')}>Show all links</a>
      </div>
    );
  if (view.after !== '')
    return (
      <div class="empty">
        <p>There are no more links here.</p>
        <a href={addressOf('links')}>Back to the first page</a>
      </div>
    );
  const { origin } = window.location;
  const command = `curl ${origin}/shorten \\
 -H 'Content-Type: application/json' \\
 -d '{"url":"https://example.com/"}'`;
  return (
    <div class="empty">
      <h2>No links yet</h2>
      <p>Paste a long URL above and press Enter, or let a program do it:</p>
      <pre>
        <code>{command}</code>
      </pre>
      <Copy text={command} of="the command" />
    </div>
  );
}

/** Pages by cursor cost the same at any depth; there is a next one, and the way back. */
function Pages({ view, next }: { readonly view: View; readonly next: string | undefined }) {
  if (next === undefined && view.after === '') return null;
  return (
    <nav class="pages" aria-label="Pages of the list">
      {view.after === '' ? null : (
        <>
          <a class="button" href={addressOf('links', { ...view, after: '' })}>
            First page
          </a>
          <button type="button" onClick={() => window.history.back()}>
            Previous
          </button>
        </>
      )}
      {next === undefined ? null : (
        <button
          type="button"
          onClick={() => {
            go(addressOf('links', { ...view, after: next }));
            window.scrollTo(0, 0);
          }}
        >
          Next
        </button>
      )}
    </nav>
  );
}
