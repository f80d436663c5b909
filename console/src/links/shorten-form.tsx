import { useEffect, useRef, useState } from 'preact/hooks';
import { Refused, sentenceOf } from '../api/call.js';
import { shorten } from '../api/links.js';
import type { ShortLink } from '../api/types.js';
import { Copy, copyText } from '../parts/copy.js';
import { Fault, Field } from '../parts/field.js';
import { Qr } from '../parts/qr.js';
import { spoken, Target } from '../parts/target.js';
import { addressOf } from '../place.js';
import { OptionFields } from './option-fields.js';
import { changesOf, noOptions } from './options.js';

interface ShortenFormProps {
  readonly onMade: () => void;
  readonly onMany: (lines: string) => void;
  readonly tags: readonly string[];
}

/** Paste and Enter: the link is created, copied and shown as a QR code. A refusal keeps what was typed. */
export function ShortenForm({ onMade, onMany, tags }: ShortenFormProps) {
  const [url, setUrl] = useState('');
  const [code, setCode] = useState('');
  const [options, setOptions] = useState(noOptions);
  const [isOpen, setOpen] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const [made, setMade] = useState<ShortLink & { isCopied: boolean }>();
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLInputElement>('input')?.focus({ preventScroll: true }), []);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    const given = code.trim() === '' ? {} : { short_code: code.trim() };
    const request = shorten({ url: url.trim(), ...given, ...changesOf(options, noOptions) });
    const copied = copyText(request.then(({ short_url }) => short_url)).catch(() => false);
    try {
      const link = await request;
      setErrors({});
      setUrl('');
      setCode('');
      setOptions(noOptions);
      setOpen(false);
      setMade({ ...link, isCopied: await copied });
      onMade();
    } catch (error) {
      const field = error instanceof Refused ? error.field : '';
      setErrors({ [field === 'original_url' ? 'url' : field]: sentenceOf(error) });
      if (field !== '' && !['url', 'original_url', 'short_code'].includes(field)) setOpen(true);
    } finally {
      setBusy(false);
    }
  };

  const paste = (event: ClipboardEvent): void => {
    const text = event.clipboardData?.getData('text/plain') ?? '';
    if (text.trim().split(/\r?\n/).length < 2) return;
    event.preventDefault();
    onMany(text.trim());
  };

  return (
    <section class="shorten" aria-label="Shorten">
      <form ref={form} onSubmit={submit} noValidate>
        <div class="shorten-row">
          <Field
            class="shorten-url"
            name="url"
            label="Paste a long URL"
            isLabelHidden
            placeholder="Paste a long URL"
            inputMode="url"
            value={url}
            onValue={setUrl}
            error={errors.url}
            onPaste={paste}
          />
          <Field
            class="shorten-code"
            name="short_code"
            label="Short code"
            isLabelHidden
            placeholder="code: auto"
            value={code}
            onValue={setCode}
            error={errors.short_code}
          />
          <button type="submit" class="primary" aria-disabled={isBusy}>
            Shorten
          </button>
        </div>
        <div class="shorten-more">
          <button type="button" class="quiet" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
            Options
          </button>
          <button type="button" class="quiet" onClick={() => onMany('')}>
            Many at once
          </button>
        </div>
        {errors[''] === undefined ? null : <Fault>{errors['']}</Fault>}
        {isOpen ? (
          <OptionFields options={options} onChange={setOptions} errors={errors} tags={tags} isNew />
        ) : null}
      </form>
      {made === undefined ? null : <Made key={made.id} link={made} onClose={() => setMade(undefined)} />}
    </section>
  );
}

interface MadeProps {
  readonly link: ShortLink & { readonly isCopied: boolean };
  readonly onClose: () => void;
}

function Made({ link, onClose }: MadeProps) {
  return (
    <section class="made" aria-label="Your short link">
      <Qr id={link.id} url={link.short_url} code={link.short_code} size={112} />
      <div class="made-text">
        <p class="made-url">
          <a href={link.short_url} target="_blank" rel="noreferrer noopener">
            {spoken(link.short_url)}
          </a>
          <Copy text={link.short_url} />
        </p>
        <p class="made-state" role="status">
          {link.isCopied ? 'Made, and copied to the clipboard' : 'Made'}
        </p>
        <p>
          <Target url={link.original_url} />
        </p>
        <p class="made-more">
          <a href={addressOf(`links/${link.id}`)}>Statistics and options</a>
        </p>
      </div>
      <button type="button" class="icon quiet made-close" aria-label="Close" onClick={onClose}>
        ×
      </button>
    </section>
  );
}
