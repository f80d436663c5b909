import { useEffect, useRef, useState } from 'preact/hooks';
import { hasKey, send } from '../api/call.js';
import { routes } from '../api/types.js';
import { saveBlob } from './save.js';
import { say } from './toast.js';

interface QrProps {
  readonly id: number;
  /** The encoded text. */
  readonly url: string;
  readonly code: string;
  /** Its size in pixels on the page. */
  readonly size: number;
}

const SAVED_SIZE = 1024;

/** The QR code of a short URL, also as a file; read by fetch, because an image can't send a key. */
export function Qr({ id, url, code, size }: QrProps) {
  const place = useRef<HTMLDivElement>(null);
  const [isMissing, setMissing] = useState(false);
  const path = routes.qr.replace(':id', String(id));
  useEffect(() => {
    const abort = new AbortController();
    readSvg(path, abort.signal)
      .then((svg) => {
        svg.setAttribute('role', 'img');
        svg.setAttribute('aria-label', `QR code of ${url}`);
        place.current?.replaceChildren(svg);
      })
      .catch(() => abort.signal.aborted || setMissing(true));
    return () => abort.abort();
  }, [path, url]);
  if (isMissing) return null;
  return (
    <div class="qr">
      <div class="qr-code" ref={place} style={{ inlineSize: `${size}px`, blockSize: `${size}px` }} />
      <p class="qr-files">
        <QrFile path={path} format="svg" code={code} />
        <QrFile path={path} format="png" code={code} />
      </p>
    </div>
  );
}

/** Parsed as an image, which runs no script and loads nothing: the page's policy allows neither. */
async function readSvg(path: string, signal: AbortSignal): Promise<SVGElement> {
  const response = await send(path, { query: { format: 'svg', size: '256', margin: '2' }, signal });
  const parsed = new DOMParser().parseFromString(await response.text(), 'image/svg+xml').documentElement;
  if (!(parsed instanceof SVGElement)) throw new Error('no SVG');
  const svg = document.importNode(parsed, true);
  svg.setAttribute('viewBox', svg.getAttribute('viewBox') ?? '0 0 256 256');
  svg.setAttribute('width', '100%');
  svg.setAttribute('height', '100%');
  return svg;
}

interface QrFileProps {
  readonly path: string;
  readonly format: 'svg' | 'png';
  readonly code: string;
}

function QrFile({ path, format, code }: QrFileProps) {
  const query = { format, size: String(SAVED_SIZE) };
  const name = `${code}.${format}`;
  const save = async (event: Event): Promise<void> => {
    // Without a key it is an ordinary link.
    if (!hasKey()) return;
    event.preventDefault();
    try {
      saveBlob(await (await send(path, { query })).blob(), name);
    } catch {
      say('The QR code could not be read');
    }
  };
  return (
    <a
      href={`${path}?${new URLSearchParams(query)}`}
      download={name}
      onClick={save}
      aria-label={`QR as ${format.toUpperCase()}`}
    >
      {format.toUpperCase()}
    </a>
  );
}
