import { createHash } from 'node:crypto';
import type { LinkPreview } from '../../api/visits.js';
import type { Exchange, Headers } from '../http/exchange.js';
import { accepts } from '../http/request-head.js';

/** The two pages that a visitor may see. They have no script, and load nothing. */
const style = `body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.4rem}label,input,button{display:block;font:inherit}input{width:100%;box-sizing:border-box;margin:.3rem 0 1rem;padding:.5rem;border:1px solid #555}
button{padding:.5rem 1.2rem;cursor:pointer}.host{font-size:1.6rem;font-weight:700;overflow-wrap:anywhere}.url{overflow-wrap:anywhere;color:#444}[role=alert]{color:#a00}
@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}.url{color:#bbb}[role=alert]{color:#f99}a{color:#9cf}}`;

const styleHash = createHash('sha256').update(style).digest('base64');

/** A form may lead anywhere: browsers check the redirect that answers it against this policy too. */
const pageHeaders: Headers = [
  [
    'Content-Security-Policy',
    `default-src 'none'; style-src 'sha256-${styleHash}'; form-action http: https:; base-uri 'none'; frame-ancestors 'none'`,
  ],
  ['X-Content-Type-Options', 'nosniff'],
  ['Referrer-Policy', 'no-referrer'],
  ['Vary', 'Accept'],
];

const HTML = 'text/html; charset=utf-8';

/** Whether a person is likely to see the answer. */
export function wantsPage(exchange: Exchange): boolean {
  return accepts(exchange.header('accept'), 'text/html');
}

/** @param message What was wrong with the previous password. */
export function answerPasswordForm(
  exchange: Exchange,
  status: 401 | 429,
  message: string | undefined,
  headers: Headers,
): void {
  const alert = message === undefined ? '' : `<p role="alert" id="message">${escaped(message)}</p>`;
  const described = message === undefined ? '' : ' aria-invalid="true" aria-describedby="message"';
  const body = page(
    'Password required',
    `<h1>This link needs a password</h1>${alert}
<form method="post"><label for="password">Password</label>
<input id="password" name="password" type="password" required maxlength="128" autocomplete="off" autofocus${described}>
<button type="submit">Continue</button></form>`,
  );
  exchange.text(status, HTML, body, [...pageHeaders, ...headers]);
}

export function answerPreviewPage(exchange: Exchange, preview: LinkPreview, headers: Headers): void {
  const { original_url: target, short_url: shortUrl, title, expires_at: expiresAt } = preview;
  const expiry = expiresAt === null ? '' : `<p>Until ${escaped(expiresAt.replace('T', ' '))} UTC</p>`;
  const body = page(
    'Where this link leads',
    `<h1>This link leads to</h1><p class="host">${escaped(hostOf(target))}</p>
${title === '' ? '' : `<p>${escaped(title)}</p>`}<p class="url">${escaped(target)}</p>
${expiry}<p><a href="${escaped(shortUrl)}" rel="nofollow noreferrer">Go there</a></p>`,
  );
  exchange.text(200, HTML, body, [...pageHeaders, ...headers]);
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>${title}</title><style>${style}</style></head>
<body><main>${body}</main></body></html>
`;
}

/** The host in its ASCII form, which can't imitate another. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = { '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot' };
  return text.replaceAll(/[&<>"]/g, (character) => `&${names[character]};`);
}
