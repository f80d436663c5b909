import { Check, Choice, Field } from '../parts/field.js';
import type { Options } from './options.js';

interface OptionFieldsProps {
  readonly options: Options;
  readonly onChange: (options: Options) => void;
  /** By the member of the request that was wrong. */
  readonly errors: Readonly<Record<string, string>>;
  /** Of a link that has one already. */
  readonly hasPassword?: boolean;
  readonly onClearPassword?: () => void;
  readonly tags: readonly string[];
  /** A link that is to be made has more to choose. */
  readonly isNew?: boolean;
}

const statuses = [
  ['', 'as the server is set'],
  ['302', '302 · found'],
  ['301', '301 · moved for good'],
  ['307', '307 · keeps the method'],
  ['308', '308 · for good, keeps the method'],
] as const;

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** All that can be said of a link besides its target and its code. */
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
      <Field label="Leads there once it has expired" inputMode="url" {...text('expired_url')} />
      <Field label="Valid from" type="datetime-local" {...text('valid_since')} />
      <Field label="Most clicks" inputMode="numeric" hint="Then it has expired" {...text('max_clicks')} />
      <div class="field-with-action">
        <Field
          label="Password"
          hint={hasPassword ? 'It has one, which a new one replaces' : 'Visitors are asked for it'}
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
        label="Cache for seconds"
        inputMode="numeric"
        hint="Browsers repeat the redirect unseen"
        {...text('cache_seconds')}
      />
      {isNew ? (
        <>
          <Field label="Owner" inputMode="numeric" hint="A user’s id" {...text('user_id')} />
          <Field label="Length of a made code" inputMode="numeric" {...text('code_length')} />
        </>
      ) : null}
      <div class="checks">
        <Check
          label="Pass the visitor’s query on"
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
            label="Use a link that is there already"
            isOn={options.find_if_exists}
            onChange={(isOn) => onChange({ ...options, find_if_exists: isOn })}
          />
        ) : null}
      </div>
    </div>
  );
}
