/** A route whose request has only a path and a query. */
export const bodyless = { bodyLimit: 'none', headers: [], barrier: 'none' } as const;
