import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly error?: string | undefined;
  readonly hint?: string;
  readonly type?: 'text' | 'search' | 'password' | 'date' | 'datetime-local';
  readonly placeholder?: string;
  readonly isLabelHidden?: boolean;
  readonly lines?: number;
  readonly list?: readonly string[];
  readonly class?: string;
  readonly inputMode?: 'url' | 'numeric' | 'text';
  readonly hasFirstFocus?: boolean;
  readonly name?: string;
  readonly onPaste?: (event: ClipboardEvent) => void;
}

/** A labelled field; its error is shown below it, and read out with it. */
export function Field(props: FieldProps) {
  const id = useId();
  const { label, value, onValue, error = '', hint = '', type = 'text', lines, list, inputMode } = props;
  const described = [hint === '' ? '' : `${id}-hint`, error === '' ? '' : `${id}-error`].filter(
    (one) => one !== '',
  );
  const common = {
    id,
    name: props.name ?? '',
    value,
    placeholder: props.placeholder ?? '',
    'aria-invalid': error !== '',
    ...(described.length === 0 ? {} : { 'aria-describedby': described.join(' ') }),
    onInput: (event: Event) => onValue((event.currentTarget as HTMLInputElement).value),
    ...(props.onPaste === undefined ? {} : { onPaste: props.onPaste }),
    autocomplete: 'off',
    spellcheck: false,
  } as const;
  return (
    <div class={`field ${props.class ?? ''}`}>
      <label for={id} class={props.isLabelHidden === true ? 'unseen' : ''}>
        {label}
      </label>
      {lines === undefined ? (
        <input
          {...common}
          // The declarations require each kind separately.
          type={type as 'text'}
          {...(inputMode === undefined ? {} : { inputMode })}
          {...(list === undefined ? {} : { list: `${id}-list` })}
          data-first={props.hasFirstFocus === true}
          dir="auto"
        />
      ) : (
        <textarea {...common} rows={lines} />
      )}
      {list === undefined ? null : (
        <datalist id={`${id}-list`}>
          {list.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
      {hint === '' ? null : (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error === '' ? null : (
        <p class="error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, label: string])[];
  readonly onValue: (value: string) => void;
  readonly error?: string | undefined;
  readonly isLabelHidden?: boolean;
}

export function Choice({ label, value, options, onValue, error = '', isLabelHidden = false }: ChoiceProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id} class={isLabelHidden ? 'unseen' : ''}>
        {label}
      </label>
      <select
        id={id}
        value={value}
        aria-invalid={error !== ''}
        {...(error === '' ? {} : { 'aria-describedby': `${id}-error` })}
        onChange={(event) => onValue(event.currentTarget.value)}
      >
        {options.map(([one, text]) => (
          <option key={one} value={one} selected={one === value}>
            {text}
          </option>
        ))}
      </select>
      {error === '' ? null : (
        <p class="error" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}

interface CheckProps {
  readonly label: string;
  readonly isOn: boolean;
  readonly onChange: (isOn: boolean) => void;
}

export function Check({ label, isOn, onChange }: CheckProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={isOn} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

export function Fault({ children }: { readonly children: ComponentChildren }) {
  return (
    <p role="alert" class="error">
      {children}
    </p>
  );
}
