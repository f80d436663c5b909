import { createStore, useStore } from '../store.js';

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly undo?: (() => void) | undefined;
}

const toasts = createStore<readonly Toast[]>([]);
let lastId = 0;
const SHOWN_MS = 6000;

/** Says what has happened. @returns a function that removes the message. */
export function say(text: string, undo?: () => void, shownMs = SHOWN_MS): () => void {
  lastId += 1;
  const id = lastId;
  const drop = (): void => toasts.set(toasts.get().filter((one) => one.id !== id));
  toasts.set([...toasts.get().slice(-3), { id, text, undo }]);
  window.setTimeout(drop, shownMs);
  return drop;
}

export function Toasts() {
  const all = useStore(toasts);
  return (
    <div class="toasts" role="status">
      {all.map(({ id, text, undo }) => (
        <div class="toast" key={id}>
          <span>{text}</span>
          {undo === undefined ? null : (
            <button
              type="button"
              onClick={() => {
                undo();
                toasts.set(toasts.get().filter((one) => one.id !== id));
              }}
            >
              Undo
            </button>
          )}
        </div>
      ))}
    </div>
  );
}
