import { useState } from 'preact/hooks';
import { Refused, sentenceOf } from '../api/call.js';
import { changeLink } from '../api/links.js';
import type { Link, LinkChange } from '../api/types.js';
import { Dialog } from '../parts/dialog.js';
import { Fault, Field } from '../parts/field.js';
import { OptionFields } from './option-fields.js';
import { changesOf, optionsOf } from './options.js';

interface EditDialogProps {
  readonly link: Link;
  readonly onClose: () => void;
  readonly onDone: () => void;
  readonly tags: readonly string[];
}

export function EditDialog({ link, onClose, onDone, tags }: EditDialogProps) {
  const before = optionsOf(link);
  const [target, setTarget] = useState(link.original_url);
  const [options, setOptions] = useState(before);
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const [isBusy, setBusy] = useState(false);
  const save = async (more: LinkChange = {}): Promise<void> => {
    const changed = target === link.original_url ? {} : { original_url: target.trim() };
    const change: LinkChange = { ...changed, ...(changesOf(options, before) as LinkChange), ...more };
    if (Object.keys(change).length === 0) {
      onClose();
      return;
    }
    setBusy(true);
    try {
      await changeLink(link.id, change);
      onDone();
      onClose();
    } catch (error) {
      setErrors({ [error instanceof Refused ? error.field : '']: sentenceOf(error) });
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Edit ${link.short_code}`} onClose={onClose}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (!isBusy) void save();
        }}
      >
        <Field
          label="Target"
          name="original_url"
          inputMode="url"
          value={target}
          onValue={setTarget}
          error={errors.original_url}
          hasFirstFocus
        />
        <OptionFields
          options={options}
          onChange={setOptions}
          errors={errors}
          hasPassword={link.has_password}
          onClearPassword={() => void save({ password: null })}
          tags={tags}
        />
        {errors[''] === undefined ? null : <Fault>{errors['']}</Fault>}
        <div class="dialog-end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" aria-disabled={isBusy}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}
