import { useState } from 'preact/hooks';
import { call, Refused, send, sentenceOf } from '../api/call.js';
import { nextOf } from '../api/links.js';
import { routes, type User } from '../api/types.js';
import { ConfirmDialog, Dialog } from '../parts/dialog.js';
import { Fault, Field } from '../parts/field.js';
import { useLoad } from '../parts/load.js';
import { Time } from '../parts/time.js';
import { say } from '../parts/toast.js';
import { Waiting } from '../parts/waiting.js';
import { addressOf, go } from '../place.js';
import { ImportDialog } from './import-dialog.js';

const PAGE_SIZE = '50';

type Open = { readonly kind: 'new' | 'import' } | { readonly kind: 'edit' | 'delete'; readonly user: User };

export function UsersPage({ query }: { readonly query: URLSearchParams }) {
  const after = query.get('after') ?? '';
  const users = useLoad(
    async (signal) => {
      const asked = { limit: PAGE_SIZE, ...(after === '' ? {} : { after }) };
      const response = await send(routes.users, { query: asked, signal });
      return { users: (await response.json()) as User[], next: nextOf(response) };
    },
    [after],
  );
  const [open, setOpen] = useState<Open>();
  const all = users.value?.users ?? [];
  const next = users.value?.next;
  const close = (): void => setOpen(undefined);
  return (
    <article>
      <header class="page-head">
        <h1>Users</h1>
        <div class="page-actions">
          <button type="button" onClick={() => setOpen({ kind: 'import' })}>
            Import
          </button>
          <button type="button" class="primary" onClick={() => setOpen({ kind: 'new' })}>
            New user
          </button>
        </div>
      </header>
      <Waiting of={users} rows={4} />
      {users.value !== undefined && all.length === 0 ? (
        <div class="empty">
          <h2>No users yet</h2>
          <p>Links can belong to a user; a key of that user sees and makes those only.</p>
        </div>
      ) : null}
      {all.length === 0 ? null : (
        <div class="wide">
          <table class="plain">
            <caption class="unseen">Users</caption>
            <thead>
              <tr>
                <th scope="col" class="number">
                  Id
                </th>
                <th scope="col">Name</th>
                <th scope="col">E-mail</th>
                <th scope="col">Since</th>
                <th scope="col">
                  <span class="unseen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {all.map((user) => (
                <tr key={user.id}>
                  <td class="number" data-label="Id">
                    {user.id}
                  </td>
                  <td dir="auto" class="row-name">
                    <a href={addressOf('links', { owner: String(user.id) })}>{user.username}</a>
                  </td>
                  <td dir="auto" data-label="E-mail">
                    {user.email}
                  </td>
                  <td data-label="Since">
                    <Time at={user.created_at} />
                  </td>
                  <td class="row-actions">
                    <button
                      type="button"
                      aria-label={`Edit ${user.username}`}
                      onClick={() => setOpen({ kind: 'edit', user })}
                    >
                      Edit
                    </button>
                    <button
                      type="button"
                      class="danger"
                      aria-label={`Delete ${user.username}`}
                      onClick={() => setOpen({ kind: 'delete', user })}
                    >
                      Delete
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {after === '' && next === undefined ? null : (
        <nav class="pages" aria-label="Pages of the list">
          {after === '' ? null : (
            <button type="button" onClick={() => window.history.back()}>
              Previous
            </button>
          )}
          {next === undefined ? null : (
            <button type="button" onClick={() => go(addressOf('users', { after: next }))}>
              Next
            </button>
          )}
        </nav>
      )}
      {open?.kind === 'new' ? <UserDialog onClose={close} onDone={users.reload} /> : null}
      {open?.kind === 'import' ? <ImportDialog onClose={close} onDone={users.reload} /> : null}
      {open?.kind === 'edit' ? <UserDialog of={open.user} onClose={close} onDone={users.reload} /> : null}
      {open?.kind === 'delete' ? <DeleteDialog of={open.user} onClose={close} onDone={users.reload} /> : null}
    </article>
  );
}

interface UserDialogProps {
  readonly of?: User;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

function UserDialog({ of: user, onClose, onDone }: UserDialogProps) {
  const [username, setUsername] = useState(user?.username ?? '');
  const [email, setEmail] = useState(user?.email ?? '');
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const body = { username, email };
    try {
      if (user === undefined) await call<User>(routes.users, { method: 'POST', body });
      else await call<User>(routes.user.replace(':id', String(user.id)), { method: 'PUT', body });
      onDone();
      onClose();
    } catch (error) {
      setErrors({ [error instanceof Refused ? error.field : '']: sentenceOf(error) });
    }
  };
  return (
    <Dialog title={user === undefined ? 'New user' : `Edit ${user.username}`} onClose={onClose}>
      <form onSubmit={submit} noValidate>
        <Field
          label="Name"
          name="username"
          value={username}
          onValue={setUsername}
          error={errors.username}
          hasFirstFocus
        />
        <Field label="E-mail" name="email" value={email} onValue={setEmail} error={errors.email} />
        {errors[''] === undefined ? null : <Fault>{errors['']}</Fault>}
        <div class="dialog-end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary">
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Deletes all of the user's links too, and therefore asks first. */
function DeleteDialog({ of: user, onClose, onDone }: Required<UserDialogProps>) {
  const remove = async (): Promise<void> => {
    try {
      await call(routes.user.replace(':id', String(user.id)), { method: 'DELETE' });
      say(`${user.username} is deleted`);
      onDone();
    } catch (error) {
      say(sentenceOf(error));
    }
    onClose();
  };
  return (
    <ConfirmDialog title={`Delete ${user.username}`} action="Delete" onConfirm={remove} onClose={onClose}>
      The user’s links, their clicks and the user’s keys go too. It can’t be undone.
    </ConfirmDialog>
  );
}
