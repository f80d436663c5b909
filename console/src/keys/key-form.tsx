import { useEffect, useRef, useState } from 'preact/hooks';
import { useKey } from '../api/call.js';
import { Field } from '../parts/field.js';

/**
 * Typed once; other tabs don't get the key, and closing this one forgets it. `path` is what the key is tried on,
 * something that requires one.
 */
export function KeyForm({ path }: { readonly path: string }) {
  const [key, setKey] = useState('');
  const [error, setError] = useState('');
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector('input')?.focus(), []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const typed = key.trim();
    if (typed === '') {
      setError('Type a key');
      return;
    }
    try {
      const response = await fetch(path, {
        headers: { Authorization: `Bearer ${typed}` },
        credentials: 'omit',
      });
      if (response.status === 401) setError('Unauthorized');
      else useKey(typed);
    } catch {
      setError(navigator.onLine ? 'The server does not answer' : 'You are offline');
    }
  };
  return (
    <section class="key-form" aria-labelledby="key-title">
      <h1 id="key-title">This server asks for a key</h1>
      <form ref={form} onSubmit={submit} noValidate>
        <Field
          label="API key"
          name="key"
          type="password"
          value={key}
          onValue={setKey}
          error={error}
          hint="Kept for this tab only. Whoever runs the server creates keys; the first one is the setting ADMIN_KEY."
        />
        <button type="submit" class="primary">
          Continue
        </button>
      </form>
    </section>
  );
}
