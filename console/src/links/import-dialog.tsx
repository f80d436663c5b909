import { useState } from 'preact/hooks';
import { type LinkImport, routes } from '../api/types.js';
import { BadRows } from '../parts/bad-rows.js';
import { Dialog } from '../parts/dialog.js';
import { Choice, Fault } from '../parts/field.js';
import { FileDrop } from '../parts/file-drop.js';
import { count } from '../parts/time.js';
import { UploadProgress, useUpload } from '../parts/upload.js';

interface ImportDialogProps {
  /** A file that was dropped on the page. */
  readonly dropped?: File | undefined;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

const formats = [
  ['', 'detect from the header'],
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

export function ImportDialog({ dropped, onClose, onDone }: ImportDialogProps) {
  const [file, setFile] = useState(dropped);
  const [format, setFormat] = useState('');
  const [conflict, setConflict] = useState('skip');
  const [report, setReport] = useState<Report>();
  const { part, fault, send, stop } = useUpload<LinkImport>('Stopped: whole batches that were done stay');

  const run = async (isDry: boolean): Promise<void> => {
    if (file === undefined || part !== undefined) return;
    setReport(undefined);
    const query = new URLSearchParams({ on_conflict: conflict, dry_run: String(isDry) });
    if (format !== '') query.set('format', format);
    const answer = await send(`${routes.importLinks}?${query}`, file);
    if (answer !== undefined) setReport({ ...answer, isDry });
    if (!isDry) onDone();
  };
  const close = (): void => {
    stop();
    onClose();
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
        <FileDrop
          label="CSV file"
          hint="With our columns (original_url is required), or an export from another shortener"
          file={file}
          onFile={(chosen) => {
            setFile(chosen);
            setReport(undefined);
          }}
        />
        <div class="two">
          <Choice label="Format" value={format} options={formats} onValue={setFormat} />
          <Choice
            label="If a code already exists"
            value={conflict}
            options={conflicts}
            onValue={setConflict}
          />
        </div>
        <UploadProgress part={part} />
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
      {failed > errors.length ? <p class="hint">Only the first {errors.length} are shown</p> : null}
    </div>
  );
}
