import { useId, useRef, useState } from 'preact/hooks';
import { sentenceOf } from '../api/call.js';
import { type LinkImport, routes } from '../api/types.js';
import { upload } from '../api/upload.js';
import { Dialog } from '../parts/dialog.js';
import { Choice, Fault } from '../parts/field.js';
import { count } from '../parts/time.js';
import { BadRows } from './many-dialog.js';

interface ImportDialogProps {
  readonly onClose: () => void;
  readonly onDone: () => void;
}

const formats = [
  ['', 'find out by its header'],
  ['bitly', 'Bitly'],
  ['kutt', 'Kutt'],
  ['yourls', 'YOURLS'],
  ['shlink', 'Shlink'],
] as const;

const conflicts = [
  ['skip', 'leave it as it is'],
  ['update', 'change it'],
  ['fail', 'report the row'],
] as const;

type Report = LinkImport & { readonly isDry: boolean };

export function ImportDialog({ onClose, onDone }: ImportDialogProps) {
  const [file, setFile] = useState<File>();
  const [format, setFormat] = useState('');
  const [conflict, setConflict] = useState('skip');
  const [part, setPart] = useState<number>();
  const [fault, setFault] = useState('');
  const [report, setReport] = useState<Report>();
  const [isOver, setOver] = useState(false);
  const abort = useRef<AbortController>(null);
  const id = useId();

  const run = async (isDry: boolean): Promise<void> => {
    if (file === undefined || part !== undefined) return;
    setFault('');
    setReport(undefined);
    setPart(0);
    const control = new AbortController();
    abort.current = control;
    const query = new URLSearchParams({ on_conflict: conflict, dry_run: String(isDry) });
    if (format !== '') query.set('format', format);
    try {
      const answer = await upload<LinkImport>(
        `${routes.importLinks}?${query}`,
        file,
        setPart,
        control.signal,
      );
      setReport({ ...answer, isDry });
      if (!isDry) onDone();
    } catch (error) {
      if (control.signal.aborted) setFault('Stopped: whole batches that were done stay');
      else setFault(sentenceOf(error));
      if (!isDry) onDone();
    }
    setPart(undefined);
  };
  const close = (): void => {
    abort.current?.abort();
    onClose();
  };
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    setFile(event.dataTransfer?.files[0] ?? file);
  };
  return (
    <Dialog title="Import" onClose={close}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void run(false);
        }}
      >
        {/* biome-ignore lint/a11y/noStaticElementInteractions: a file may be dropped here, and be chosen by the field within */}
        <div
          class={isOver ? 'drop over' : 'drop'}
          onDragOver={(event) => {
            event.preventDefault();
            setOver(true);
          }}
          onDragLeave={() => setOver(false)}
          onDrop={drop}
        >
          <label for={id}>CSV file</label>
          <input
            id={id}
            type="file"
            accept=".csv,text/csv"
            data-first
            onChange={(event) => {
              setFile(event.currentTarget.files?.[0]);
              setReport(undefined);
            }}
          />
          <p class="hint">
            {file === undefined
              ? 'With our columns, of which original_url must be there, or an export of another shortener'
              : `${file.name}, ${count(Math.ceil(file.size / 1024))} kB`}
          </p>
        </div>
        <div class="two">
          <Choice label="Format" value={format} options={formats} onValue={setFormat} />
          <Choice
            label="A code that is there already"
            value={conflict}
            options={conflicts}
            onValue={setConflict}
          />
        </div>
        {part === undefined ? null : (
          <div class="progress">
            <progress aria-label="Import" max={1} {...(part < 1 ? { value: part } : {})} />
            <span>{part < 1 ? `${Math.floor(part * 100)} % sent` : 'Being read'}</span>
          </div>
        )}
        {fault === '' ? null : <Fault>{fault}</Fault>}
        {report === undefined ? null : <Outcome report={report} />}
        <div class="dialog-end">
          <button type="button" onClick={close}>
            {report === undefined || report.isDry ? 'Cancel' : 'Done'}
          </button>
          <button type="button" aria-disabled={file === undefined} onClick={() => void run(true)}>
            Check only
          </button>
          <button type="submit" class="primary" aria-disabled={file === undefined || part !== undefined}>
            Import
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Outcome({ report }: { readonly report: Report }) {
  const { imported, updated, skipped, failed, errors, isDry } = report;
  const parts = [
    `${count(imported)} ${isDry ? 'would be imported' : 'imported'}`,
    ...(updated === 0 ? [] : [`${count(updated)} changed`]),
    ...(skipped === 0 ? [] : [`${count(skipped)} skipped`]),
    ...(failed === 0 ? [] : [`${count(failed)} failed`]),
  ];
  return (
    <div class="report">
      <p role="status">{parts.join(', ')}</p>
      {errors.length === 0 ? null : <BadRows rows={errors} />}
      {failed > errors.length ? <p class="hint">The first {errors.length} are shown</p> : null}
    </div>
  );
}
