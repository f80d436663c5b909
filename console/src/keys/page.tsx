import { useState } from 'preact/hooks';
import { call, Refused, sentenceOf } from '../api/call.js';
import { type Key, type NewKey, routes } from '../api/types.js';
import { Copy } from '../parts/copy.js';
import { ConfirmDialog, Dialog } from '../parts/dialog.js';
import { Check, Fault, Field } from '../parts/field.js';
import { useLoad } from '../parts/load.js';
import { fromLocalField, parseTime, Time } from '../parts/time.js';
import { say } from '../parts/toast.js';
import { Waiting } from '../parts/waiting.js';

const scopes = [
  ['links:read', 'see links'],
  ['links:create', 'create links'],
  ['links:write', 'change and delete links'],
  ['stats:read', 'see statistics'],
  ['users', 'users'],
  ['events', 'events'],
  ['ops', 'metrics and logs'],
  ['admin', 'everything'],
] as const;

export function KeysPage() {
  const keys = useLoad((signal) => call<Key[]>(routes.keys, { signal }), []);
  const [isMaking, setMaking] = useState(false);
  const [made, setMade] = useState<NewKey>();
  const [revoking, setRevoking] = useState<Key>();
  return (
    <article>
      <header class="page-head">
        <h1>Keys</h1>
        <button type="button" class="primary" onClick={() => setMaking(true)}>
          New key
        </button>
      </header>
      {made === undefined ? null : (
        <section class="made" aria-label="Your new key">
          <div class="made-text">
            <p>
              <strong dir="auto">{made.name}</strong>: copy it now, it is shown this once.
            </p>
            <p class="secret">
              <code>{made.key}</code>
              <Copy text={made.key} of="the key" />
            </p>
          </div>
          <button
            type="button"
            class="icon quiet made-close"
            aria-label="Close"
            onClick={() => setMade(undefined)}
          >
            ×
          </button>
        </section>
      )}
      <Waiting of={keys} rows={4} />
      {keys.value?.length === 0 ? (
        <div class="empty">
          <h2>No keys yet</h2>
          <p>Give each program and each person a separate key, with only the scopes it needs.</p>
        </div>
      ) : null}
      {keys.value === undefined || keys.value.length === 0 ? null : (
        <Table keys={keys.value} onRevoke={setRevoking} />
      )}
      {isMaking ? (
        <NewKeyDialog
          onClose={() => setMaking(false)}
          onMade={(key) => {
            setMade(key);
            keys.reload();
          }}
        />
      ) : null}
      {revoking === undefined ? null : (
        <RevokeDialog of={revoking} onClose={() => setRevoking(undefined)} onDone={keys.reload} />
      )}
    </article>
  );
}

function Table({ keys, onRevoke }: { readonly keys: readonly Key[]; readonly onRevoke: (key: Key) => void }) {
  return (
    <div class="wide">
      <table class="plain">
        <caption class="unseen">API keys</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Begins with</th>
            <th scope="col">Scopes</th>
            <th scope="col">User</th>
            <th scope="col">Last used</th>
            <th scope="col">Expires</th>
            <th scope="col">
              <span class="unseen">Revoke</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {keys.map((key) => (
            <tr key={key.id}>
              <td dir="auto" class="row-name">
                {key.name}
              </td>
              <td data-label="Begins with">
                <code>{key.prefix}…</code>
              </td>
              <td data-label="Scopes">{key.scopes.join(', ')}</td>
              <td data-label="User">{key.user_id ?? 'all'}</td>
              <td data-label="Last used">
                {key.last_used_at === null ? 'never' : <Time at={key.last_used_at} />}
              </td>
              <td data-label="Expires">
                {key.expires_at === null ? 'never' : <Expiry at={key.expires_at} />}
              </td>
              <td>
                <button
                  type="button"
                  class="danger"
                  aria-label={`Revoke ${key.name}`}
                  onClick={() => onRevoke(key)}
                >
                  Revoke
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Expiry({ at }: { readonly at: string }) {
  const isOver = parseTime(at).getTime() < Date.now();
  return (
    <span class={isOver ? 'state bad' : ''}>
      {isOver ? '✕ ' : ''}
      <Time at={at} />
    </span>
  );
}

function NewKeyDialog({
  onClose,
  onMade,
}: {
  readonly onClose: () => void;
  readonly onMade: (key: NewKey) => void;
}) {
  const [name, setName] = useState('');
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set(['links:read', 'links:create']));
  const [user, setUser] = useState('');
  const [expires, setExpires] = useState('');
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const id = user.trim();
    const body = {
      name,
      scopes: [...chosen],
      ...(id === '' ? {} : { user_id: /^\d+$/.test(id) ? Number(id) : id }),
      ...(expires === '' ? {} : { expires_at: fromLocalField(expires) }),
    };
    try {
      onMade(await call<NewKey>(routes.keys, { method: 'POST', body }));
      onClose();
    } catch (error) {
      setErrors({ [error instanceof Refused ? error.field : '']: sentenceOf(error) });
    }
  };
  return (
    <Dialog title="New key" onClose={onClose}>
      <form onSubmit={submit} noValidate>
        <Field
          label="Name"
          name="name"
          value={name}
          onValue={setName}
          error={errors.name}
          hint="Who or what it is for"
          hasFirstFocus
        />
        <fieldset class="scopes" aria-invalid={errors.scopes !== undefined}>
          <legend>Scopes</legend>
          {scopes.map(([scope, what]) => (
            <Check
              key={scope}
              label={`${scope}: ${what}`}
              isOn={chosen.has(scope)}
              onChange={(isOn) => {
                const next = new Set(chosen);
                if (isOn) next.add(scope);
                else next.delete(scope);
                setChosen(next);
              }}
            />
          ))}
          {errors.scopes === undefined ? null : <Fault>{errors.scopes}</Fault>}
        </fieldset>
        <div class="two">
          <Field
            label="User"
            name="user_id"
            inputMode="numeric"
            hint="A user’s id limits the key to that user’s links. Empty: all links"
            value={user}
            onValue={setUser}
            error={errors.user_id}
          />
          <Field
            label="Expires"
            name="expires_at"
            type="datetime-local"
            hint="Empty: never"
            value={expires}
            onValue={setExpires}
            error={errors.expires_at}
          />
        </div>
        {errors[''] === undefined ? null : <Fault>{errors['']}</Fault>}
        <div class="dialog-end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary">
            Create key
          </button>
        </div>
      </form>
    </Dialog>
  );
}

interface RevokeDialogProps {
  readonly of: Key;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

/** Confirmed first, unlike the deletion of a link: a revoked key can't be restored. */
function RevokeDialog({ of: key, onClose, onDone }: RevokeDialogProps) {
  const revoke = async (): Promise<void> => {
    try {
      await call(routes.key.replace(':id', String(key.id)), { method: 'DELETE' });
      say(`${key.name} is revoked`);
      onDone();
    } catch (error) {
      say(sentenceOf(error));
    }
    onClose();
  };
  return (
    <ConfirmDialog title={`Revoke ${key.name}`} action="Revoke" onConfirm={revoke} onClose={onClose}>
      Whoever uses it is refused within a second. It can’t be undone.
    </ConfirmDialog>
  );
}
