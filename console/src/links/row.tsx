import { useEffect, useRef, useState } from 'preact/hooks';
import type { Link } from '../api/types.js';
import { Copy } from '../parts/copy.js';
import { spoken, Target } from '../parts/target.js';
import { count } from '../parts/time.js';
import { addressOf, go } from '../place.js';
import { Spark } from './spark.js';
import { State } from './state.js';

export interface RowActions {
  readonly onSelect: (isSelected: boolean) => void;
  readonly onEdit: () => void;
  readonly onQr: () => void;
  readonly onPause: () => void;
  readonly onDelete: () => void;
  readonly onTag: (tag: string) => void;
}

interface RowProps extends RowActions {
  readonly link: Link;
  readonly isSelected: boolean;
  readonly isCurrent: boolean;
}

const TAGS_SHOWN = 2;

export function Row({ link, isSelected, isCurrent, ...actions }: RowProps) {
  const address = addressOf(`links/${link.id}`);
  const open = (event: MouseEvent): void => {
    const isOwn =
      event.target instanceof Element && event.target.closest('a, button, input, label, .menu') !== null;
    if (!isOwn && window.getSelection()?.toString() === '') go(address);
  };
  const more = link.tags.length - TAGS_SHOWN;
  return (
    <tr class={isSelected ? 'row selected' : 'row'} data-current={isCurrent} onClick={open}>
      <td class="cell-check">
        <label class="tap">
          <input
            type="checkbox"
            checked={isSelected}
            aria-label={`Select ${link.short_code}`}
            onChange={(event) => actions.onSelect(event.currentTarget.checked)}
          />
        </label>
      </td>
      <td class="cell-short">
        <a class="short" href={address} dir="ltr">
          <span class="short-host">{hostOf(link)}</span>
          <span>{link.short_code}</span>
        </a>
        <Copy text={link.short_url} of={link.short_code} isIcon />
      </td>
      <td class="cell-target">
        {link.title === '' || link.title === null ? null : (
          <span class="title" dir="auto">
            {link.title}
          </span>
        )}
        <Target url={link.original_url} />
      </td>
      <td class="cell-state">
        <div class="states">
          {link.tags.slice(0, TAGS_SHOWN).map((tag) => (
            <button
              type="button"
              class="tag"
              key={tag}
              onClick={() => actions.onTag(tag)}
              title={`Links with the tag ${tag}`}
            >
              {tag}
            </button>
          ))}
          {more > 0 ? <span class="more-tags">+{more}</span> : null}
          {link.has_password ? <span class="state">protected</span> : null}
          <State link={link} />
        </div>
      </td>
      <td class="cell-spark">
        <Spark link={link} />
      </td>
      <td class="cell-clicks">
        <span class="number">{count(link.click_count)}</span>
        <span class="unseen"> clicks</span>
      </td>
      <td class="cell-menu">
        <Menu link={link} {...actions} />
      </td>
    </tr>
  );
}

/** What precedes the code; in a narrow space only the code stays, because it tells links apart. */
const hostOf = (link: Link): string => spoken(link.short_url).slice(0, -link.short_code.length);

/** The actions on one link, behind one button. */
function Menu({ link, onEdit, onQr, onPause, onDelete }: RowProps | (RowActions & { readonly link: Link })) {
  const [isOpen, setOpen] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    place.current?.querySelector<HTMLElement>('.menu button')?.focus();
    const leave = (event: Event): void => {
      if (event.target instanceof Node && place.current?.contains(event.target) === true) return;
      setOpen(false);
    };
    document.addEventListener('pointerdown', leave);
    return () => document.removeEventListener('pointerdown', leave);
  }, [isOpen]);
  const keys = (event: KeyboardEvent): void => {
    const items = [...(place.current?.querySelectorAll<HTMLElement>('.menu button') ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    if (event.key === 'Escape' && isOpen) {
      setOpen(false);
      place.current?.querySelector('button')?.focus();
    } else if (event.key === 'ArrowDown') items[(at + 1) % items.length]?.focus();
    else if (event.key === 'ArrowUp') items.at(at - 1)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const doing = (act: () => void) => () => {
    setOpen(false);
    act();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: arrow keys move within it
    <div class="menu-place" ref={place} onKeyDown={keys}>
      <button
        type="button"
        class="icon quiet"
        aria-label={`More for ${link.short_code}`}
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        <svg viewBox="0 0 16 16" aria-hidden="true" class="dots">
          <circle cx="3" cy="8" r="1.3" />
          <circle cx="8" cy="8" r="1.3" />
          <circle cx="13" cy="8" r="1.3" />
        </svg>
      </button>
      {isOpen ? (
        <div class="menu">
          <Copy text={link.short_url} of="the short URL" />
          <Copy text={link.original_url} of="the target" label="Copy target" />
          <button type="button" onClick={doing(onQr)}>
            QR code
          </button>
          <button type="button" onClick={doing(onEdit)}>
            Edit
          </button>
          <button type="button" onClick={doing(onPause)}>
            {link.is_active ? 'Pause' : 'Resume'}
          </button>
          <button type="button" class="danger" onClick={doing(onDelete)}>
            Delete
          </button>
        </div>
      ) : null}
    </div>
  );
}
