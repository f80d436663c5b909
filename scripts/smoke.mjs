// Sees whether a server does what it is for: node scripts/smoke.mjs [http://localhost:5000]
// Creates a link, follows it, finds the click among its events, and deletes it again.
import { pathToFileURL } from 'node:url';

/** @throws when any answer is not as it should be. */
export async function smoke(origin) {
  const ask = async (method, path, status, body) => {
    const response = await fetch(origin + path, {
      method,
      redirect: 'manual',
      signal: AbortSignal.timeout(10_000),
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.status !== status)
      throw new Error(`${method} ${path}: ${response.status} instead of ${status}: ${text.slice(0, 200)}`);
    return { headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  };
  const target = 'https://example.com/smoke?a=b%20c';

  await ask('GET', '/health', 200);
  const { body: link } = await ask('POST', '/urls', 201, { original_url: target, title: 'smoke' });
  try {
    const { headers } = await ask('GET', `/${link.short_code}`, 302);
    if (headers.get('location') !== target)
      throw new Error(`/${link.short_code} leads to ${headers.get('location')} instead of ${target}`);
    const { body: clicks } = await ask('GET', `/events?url_id=${link.id}&event_type=click`, 200);
    if (clicks.length !== 1) throw new Error(`one redirect made ${clicks.length} click events`);
  } finally {
    await ask('DELETE', `/urls/${link.id}`, 204);
  }
  await ask('GET', `/${link.short_code}`, 404);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const origin = (process.argv[2] ?? 'http://localhost:5000').replace(/\/+$/, '');
  try {
    await smoke(origin);
    console.log(`${origin}: a link was created, followed, counted and deleted`);
  } catch (error) {
    console.error(`${origin}: ${error.cause?.message ?? error.message}`);
    process.exitCode = 1;
  }
}
