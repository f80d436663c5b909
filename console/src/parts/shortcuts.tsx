import { useEffect, useRef } from 'preact/hooks';
import { Dialog } from './dialog.js';

type Keys = Readonly<Record<string, () => void>>;

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

const hasDialog = (): boolean => document.querySelector('dialog[open]') !== null;

/** Single keys, unless a field has the focus or a dialog is open. */
export function useShortcuts(keys: Keys): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && isTyping(event.target) && !hasDialog()) {
        (event.target as HTMLElement).blur();
        return;
      }
      const isSearch = (event.metaKey || event.ctrlKey) && event.key === 'k';
      if (!isSearch && (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target))) return;
      if (hasDialog()) return;
      const act = latest.current[isSearch ? '/' : event.key];
      if (act === undefined) return;
      event.preventDefault();
      act();
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, []);
}

const all = [
  ['n', 'a new link'],
  ['/ or Ctrl K', 'search'],
  ['j, k', 'next link, previous link'],
  ['Enter', 'open the link'],
  ['c', 'copy its short URL'],
  ['e', 'edit it'],
  ['q', 'its QR code'],
  ['x', 'select it'],
  ['t', 'show a chart’s numbers as a table'],
  ['Escape', 'close, or leave a field'],
  ['?', 'this list'],
] as const;

export function Shortcuts({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="shortcuts">
        {all.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
