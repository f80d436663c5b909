import { Check, Choice, Field } from '../parts/field.js';
import type { Options } from './options.js';

interface OptionFieldsProps {
  readonly options: Options;
  readonly onChange: (options: Options) => void;
  /** Errors by the member of the request that was wrong. */
  readonly errors: Readonly<Record<string, string>>;
  /** For a link that has a password already. */
  readonly hasPassword?: boolean;
  readonly onClearPassword?: () => void;
  readonly tags: readonly string[];
  /** A new link has more options. */
  readonly isNew?: boolean;
}

const statuses = [
  ['', 'server default'],
  ['302', '302 · found'],
  ['301', '301 · moved for good'],
  ['307', '307 · keeps the method'],
  ['308', '308 · for good, keeps the method'],
] as const;

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** All options of a link besides its target and its code. */
export function OptionFields({
  options,
  onChange,
  errors,
  hasPassword = false,
  onClearPassword,
  tags,
  isNew = false,
}: OptionFieldsProps) {
  const text = (name: keyof Options) => ({
    name,
    value: String(options[name]),
    error: errors[name],
    onValue: (value: string) => onChange({ ...options, [name]: value }),
  });
  return (
    <div class="options">
      <Field label="Title" {...text('title')} />
      <Field label="Tags" hint="Separated by commas" list={tags} {...text('tags')} />
      <Field label="Expires" hint={`Time zone ${zone}`} type="datetime-local" {...text('expires_at')} />
      <Field label="Redirect to after expiry" inputMode="url" {...text('expired_url')} />
      <Field label="Valid from" type="datetime-local" {...text('valid_since')} />
      <Field
        label="Click limit"
        inputMode="numeric"
        hint="Expires after this many clicks"
        {...text('max_clicks')}
      />
      <div class="field-with-action">
        <Field
          label="Password"
          hint={hasPassword ? 'Already set; a new one replaces it' : 'Visitors have to enter it'}
          {...text('password')}
        />
        {hasPassword && onClearPassword !== undefined ? (
          <button type="button" class="quiet" onClick={onClearPassword}>
            Remove password
          </button>
        ) : null}
      </div>
      <Choice label="Redirect" options={statuses} {...text('redirect_status')} />
      <Field
        label="Cache time in seconds"
        inputMode="numeric"
        hint="Repeat visits within it are not counted"
        {...text('cache_seconds')}
      />
      {isNew ? (
        <>
          <Field label="Owner" inputMode="numeric" hint="A user’s id" {...text('user_id')} />
          <Field label="Length of a generated code" inputMode="numeric" {...text('code_length')} />
        </>
      ) : null}
      <div class="checks">
        <Check
          label="Pass on the visitor’s query"
          isOn={options.forward_query}
          onChange={(isOn) => onChange({ ...options, forward_query: isOn })}
        />
        <Check
          label="Active"
          isOn={options.is_active}
          onChange={(isOn) => onChange({ ...options, is_active: isOn })}
        />
        {isNew ? (
          <Check
            label="Reuse an existing link"
            isOn={options.find_if_exists}
            onChange={(isOn) => onChange({ ...options, find_if_exists: isOn })}
          />
        ) : null}
      </div>
    </div>
  );
}
