import { useState } from 'preact/hooks';

/** An address as people say it: without its scheme. */
export const spoken = (url: string): string => url.replace(/^https?:\/\//i, '').replace(/\/$/, '');

const isHttp = (url: string): boolean => /^https?:\/\//i.test(url);

const MAX_LENGTH = 64;

/** The host and the rest, which is cut in the middle if it is long. */
function partsOf(url: string, longest: number): [host: string, rest: string] {
  const [, host = '', rest = ''] = /^https?:\/\/([^/?#]*)(.*)$/is.exec(url) ?? [];
  if (host === '') return [url.slice(0, longest * 2), ''];
  const room = Math.max(12, longest - host.length);
  if (rest.length <= room) return [host, rest === '/' ? '' : rest];
  const half = Math.floor((room - 1) / 2);
  return [host, `${rest.slice(0, half)}…${rest.slice(-half)}`];
}

interface TargetProps {
  readonly url: string;
  readonly isWhole?: boolean;
}

/** Where a link leads: the host in full ink; whole on hover and keyboard focus. A link only if it is an http(s) URL. */
export function Target({ url, isWhole = false }: TargetProps) {
  const [isRead, setRead] = useState(false);
  const [host, rest] = partsOf(url, isWhole ? Number.POSITIVE_INFINITY : MAX_LENGTH);
  const text = (
    <>
      <span class="host">{host}</span>
      <span class="path">{rest}</span>
    </>
  );
  if (!isHttp(url)) return <span class="target">{text}</span>;
  return (
    <>
      <a
        class="target"
        href={url}
        title={url}
        rel="noreferrer noopener"
        target="_blank"
        dir="ltr"
        onFocus={(event) => setRead(!isWhole && event.currentTarget.matches(':focus-visible'))}
        onBlur={() => setRead(false)}
      >
        {text}
      </a>
      {isRead ? (
        <span class="target-whole" dir="ltr" aria-hidden="true">
          {url}
        </span>
      ) : null}
    </>
  );
}
