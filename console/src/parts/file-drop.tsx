import { useId, useState } from 'preact/hooks';
import { count } from './time.js';

interface FileDropProps {
  readonly label: string;
  /** What the file must contain; shown until one is chosen. */
  readonly hint: string;
  readonly file: File | undefined;
  readonly onFile: (file: File | undefined) => void;
}

/** A CSV file, chosen or dropped. */
export function FileDrop({ label, hint, file, onFile }: FileDropProps) {
  const [isOver, setOver] = useState(false);
  const id = useId();
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    onFile(event.dataTransfer?.files[0] ?? file);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a file may be dropped here, and be chosen by the field within
    <div
      class={isOver ? 'drop over' : 'drop'}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <label for={id}>{label}</label>
      <input
        id={id}
        type="file"
        accept=".csv,text/csv"
        data-first
        onChange={(event) => onFile(event.currentTarget.files?.[0])}
      />
      <p class="hint">
        {file === undefined ? hint : `${file.name}, ${count(Math.ceil(file.size / 1024))} kB`}
      </p>
    </div>
  );
}
