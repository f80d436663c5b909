import { useState } from 'preact/hooks';
import { routes, type UserImport } from '../api/types.js';
import { BadRows } from '../parts/bad-rows.js';
import { Dialog } from '../parts/dialog.js';
import { Fault } from '../parts/field.js';
import { FileDrop } from '../parts/file-drop.js';
import { count } from '../parts/time.js';
import { UploadProgress, useUpload } from '../parts/upload.js';

interface ImportDialogProps {
  readonly onClose: () => void;
  readonly onDone: () => void;
}

/** Imports users from a CSV file; lists the rows that can't be imported. */
export function ImportDialog({ onClose, onDone }: ImportDialogProps) {
  const [file, setFile] = useState<File>();
  const [report, setReport] = useState<UserImport>();
  const { part, fault, send, stop } = useUpload<UserImport>('Stopped: rows that were done stay');
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (file === undefined || part !== undefined) return;
    setReport(undefined);
    setReport(await send(routes.importUsers, file));
    onDone();
  };
  const close = (): void => {
    stop();
    onClose();
  };
  return (
    <Dialog title="Import users" onClose={close}>
      <form noValidate onSubmit={submit}>
        <FileDrop
          label="CSV file"
          hint="With the columns username and email; others are ignored"
          file={file}
          onFile={(chosen) => {
            setFile(chosen);
            setReport(undefined);
          }}
        />
        <UploadProgress part={part} />
        {fault === '' ? null : <Fault>{fault}</Fault>}
        {report === undefined ? null : <Outcome report={report} />}
        <div class="dialog-end">
          <button type="button" onClick={close}>
            {report === undefined ? 'Cancel' : 'Done'}
          </button>
          <button type="submit" class="primary" aria-disabled={file === undefined || part !== undefined}>
            Import
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Outcome({ report: { imported, skipped = 0, errors = [] } }: { readonly report: UserImport }) {
  return (
    <div class="report">
      <p role="status">
        {count(imported)} imported{skipped === 0 ? '' : `, ${count(skipped)} skipped`}
      </p>
      {errors.length === 0 ? null : <BadRows rows={errors} />}
      {skipped > errors.length && errors.length > 0 ? (
        <p class="hint">The first {errors.length} are shown</p>
      ) : null}
    </div>
  );
}
