/** A route whose request is its path and query alone. */
export const bodyless = { bodyLimit: 'none', headers: [], barrier: 'none' } as const;
