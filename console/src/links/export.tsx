import { useState } from 'preact/hooks';
import { hasKey, send, sentenceOf } from '../api/call.js';
import { routes } from '../api/types.js';
import { saveBlob } from '../parts/save.js';
import { count } from '../parts/time.js';
import { say } from '../parts/toast.js';

interface ExportButtonProps {
  readonly filters: URLSearchParams;
  readonly total: number | undefined;
}

/** The list as a file: downloaded by the browser itself or, if a key has to be sent, by fetch, which counts lines. */
export function ExportButton({ filters, total }: ExportButtonProps) {
  const [lines, setLines] = useState<number>();
  const query = new URLSearchParams(filters);
  query.set('format', 'csv');
  const save = async (event: Event): Promise<void> => {
    if (!hasKey()) return;
    event.preventDefault();
    if (lines !== undefined) return;
    setLines(0);
    try {
      const response = await send(routes.links, { query, hasDeadline: false });
      saveBlob(await readCounting(response, setLines), 'urls.csv');
    } catch (error) {
      say(`Not exported: ${sentenceOf(error)}`);
    }
    setLines(undefined);
  };
  return (
    <>
      {lines === undefined ? null : (
        <span class="progress">
          <progress
            aria-label="Export"
            {...(total === undefined ? {} : { max: total, value: Math.min(lines, total) })}
          />
          <span>{count(lines)}</span>
        </span>
      )}
      <a class="button" href={`${routes.links}?${query}`} download="urls.csv" onClick={save}>
        Export
      </a>
    </>
  );
}

const LINE_END = 10;

async function readCounting(response: Response, onLines: (lines: number) => void): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let lines = -1;
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
    parts.push(part.value);
    for (const byte of part.value) if (byte === LINE_END) lines += 1;
    onLines(Math.max(0, lines));
  }
  return new Blob(parts, { type: 'text/csv' });
}
