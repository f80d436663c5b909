import { useEffect, useState } from 'preact/hooks';

/** Copies a text to the clipboard. @returns whether that worked. */
export async function copyText(text: string | Promise<string>): Promise<boolean> {
  try {
    if (window.isSecureContext && navigator.clipboard !== undefined) {
      // Safari requires the request within the key press or click; the text may follow.
      if (typeof text !== 'string' && typeof ClipboardItem === 'function') {
        const blob = text.then((value) => new Blob([value], { type: 'text/plain' }));
        await navigator.clipboard.write([new ClipboardItem({ 'text/plain': blob })]);
      } else await navigator.clipboard.writeText(await text);
      return true;
    }
  } catch {
    // Refused by the browser: the old way may still work.
  }
  return copyBySelection(await text);
}

/** Without HTTPS there is no clipboard to write to, but a selection can be copied. */
function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea');
  const focused = document.activeElement;
  area.value = text;
  area.className = 'unseen';
  area.setAttribute('aria-hidden', 'true');
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  return isCopied;
}

const SHOWN_MS = 2000;

interface CopyProps {
  readonly text: string;
  /** What is copied, for people who can't see the button's place. */
  readonly of?: string;
  readonly label?: string;
  readonly isIcon?: boolean;
}

/** A button that copies, and confirms it in place. */
export function Copy({ text, of = text, label = 'Copy', isIcon = false }: CopyProps) {
  const [state, setState] = useState<'idle' | 'done' | 'failed'>('idle');
  useEffect(() => {
    if (state === 'idle') return undefined;
    const timer = window.setTimeout(() => setState('idle'), SHOWN_MS);
    return () => window.clearTimeout(timer);
  }, [state]);
  const copy = async (event: Event): Promise<void> => {
    event.stopPropagation();
    setState((await copyText(text)) ? 'done' : 'failed');
  };
  return (
    <span class="copy">
      <button
        type="button"
        class={isIcon ? 'icon' : ''}
        aria-label={`${label} ${of}`}
        title={`${label} ${text}`}
        onClick={copy}
      >
        {isIcon ? <CopySign /> : label}
      </button>
      <span role="status" class={state === 'idle' ? 'copy-state unseen' : 'copy-state'}>
        {state === 'done' ? 'Copied' : ''}
        {state === 'failed' ? 'Not copied: select it' : ''}
      </span>
    </span>
  );
}

function CopySign() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" class="sign">
      <path d="M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z" />
    </svg>
  );
}
