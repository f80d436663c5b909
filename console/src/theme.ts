import { createStore } from './store.js';

export type Theme = 'light' | 'dark' | 'system';

const NAME = 'switchyard.theme';

function remembered(): Theme {
  const value = localStorage.getItem(NAME);
  return value === 'light' || value === 'dark' ? value : 'system';
}

/** The choice of light or dark; without one, the system's. */
export const theme = createStore<Theme>(remembered());

export function applyTheme(next: Theme = theme.get()): void {
  theme.set(next);
  if (next === 'system') localStorage.removeItem(NAME);
  else localStorage.setItem(NAME, next);
  document.documentElement.dataset.theme = next;
}

export function isDark(): boolean {
  const chosen = theme.get();
  return chosen === 'system' ? window.matchMedia('(prefers-color-scheme: dark)').matches : chosen === 'dark';
}
