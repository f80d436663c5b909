import type { Link } from '../api/types.js';
import { stateOf } from '../links/state.js';
import { Target } from '../parts/target.js';
import { count, Time } from '../parts/time.js';

interface ReasonProps {
  readonly link: Link;
  readonly onResume: () => void;
  readonly onEdit: () => void;
}

/** Why a link does not lead to its target, what visitors get instead, and the remedy. */
export function Reason({ link, onResume, onEdit }: ReasonProps) {
  const state = stateOf(link);
  if (state === 'active') return null;
  const isPaused = state === 'paused';
  return (
    <p class="notice warn link-reason">
      <span>
        <Cause link={link} state={state} />{' '}
        {state === 'expired' && link.expired_url !== null ? (
          <>
            Visitors are redirected to <Target url={link.expired_url} />.
          </>
        ) : (
          'Visitors get an error.'
        )}
      </span>
      <button type="button" class="quiet" onClick={isPaused ? onResume : onEdit}>
        {isPaused ? 'Resume it' : 'Change it'}
      </button>
    </p>
  );
}

function Cause({ link, state }: { readonly link: Link; readonly state: ReturnType<typeof stateOf> }) {
  if (state === 'paused') return <>It is paused.</>;
  if (state === 'not yet valid' && link.valid_since !== null)
    return (
      <>
        It begins <Time at={link.valid_since} />.
      </>
    );
  if (link.max_clicks !== null && link.click_count >= link.max_clicks)
    return <>It has reached its limit of {count(link.max_clicks)} clicks.</>;
  return link.expires_at === null ? null : (
    <>
      It expired <Time at={link.expires_at} />.
    </>
  );
}
