import type { Link } from '../api/types.js';
import { parseTime, Time } from '../parts/time.js';

/** What a visitor would find now. */
export function stateOf(link: Link, now = Date.now()): 'active' | 'paused' | 'expired' | 'not yet valid' {
  if (!link.is_active) return 'paused';
  if (link.expires_at !== null && parseTime(link.expires_at).getTime() <= now) return 'expired';
  if (link.max_clicks !== null && link.click_count >= link.max_clicks) return 'expired';
  if (link.valid_since !== null && parseTime(link.valid_since).getTime() > now) return 'not yet valid';
  return 'active';
}

const signs = { active: '●', paused: '‖', expired: '✕', 'not yet valid': '◷' } as const;
const tones = { active: 'good', paused: 'warn', expired: 'bad', 'not yet valid': 'warn' } as const;

export function State({
  link,
  isPlainShown = false,
}: {
  readonly link: Link;
  readonly isPlainShown?: boolean;
}) {
  const state = stateOf(link);
  const endsSoon = state === 'active' && link.expires_at !== null;
  if (state === 'active' && !isPlainShown && !endsSoon) return null;
  return (
    <span class={`state ${tones[state]}`}>
      <span aria-hidden="true">{signs[state]}</span>{' '}
      {endsSoon && link.expires_at !== null ? (
        <>
          expires <Time at={link.expires_at} />
        </>
      ) : (
        state
      )}
    </span>
  );
}
