import { useRef, useState } from 'preact/hooks';
import { sentenceOf } from '../api/call.js';
import { upload } from '../api/upload.js';

export interface Upload<T> {
  /** The part sent, 0 to 1; `undefined` before and after. */
  readonly part: number | undefined;
  readonly fault: string;
  readonly send: (address: string, file: File) => Promise<T | undefined>;
  readonly stop: () => void;
}

/** Sends a file and shows its progress. @param stopped The message if it was stopped. */
export function useUpload<T>(stopped: string): Upload<T> {
  const [part, setPart] = useState<number>();
  const [fault, setFault] = useState('');
  const abort = useRef<AbortController>(null);
  const send = async (address: string, file: File): Promise<T | undefined> => {
    const control = new AbortController();
    abort.current = control;
    setFault('');
    setPart(0);
    try {
      return await upload<T>(address, file, setPart, control.signal);
    } catch (error) {
      setFault(control.signal.aborted ? stopped : sentenceOf(error));
      return undefined;
    } finally {
      setPart(undefined);
    }
  };
  return { part, fault, send, stop: () => abort.current?.abort() };
}

export function UploadProgress({ part }: { readonly part: number | undefined }) {
  if (part === undefined) return null;
  return (
    <div class="progress">
      <progress aria-label="Import" max={1} {...(part < 1 ? { value: part } : {})} />
      <span>{part < 1 ? `${Math.floor(part * 100)} % sent` : 'Processing'}</span>
    </div>
  );
}
