import type { ClusterIdentity, HostRole } from './cluster-identity.js';

/** What is known of a host by what it answered last. */
export type HostState =
  /** It was asked, and has time left to answer. */
  | { readonly kind: 'asked' }
  | { readonly kind: 'silent'; readonly error: Error }
  | { readonly kind: 'answers'; readonly role: HostRole };

/** What a host is to a server. */
export type HostPlace = 'primary' | 'standby' | 'silent' | 'stale';

export interface PrimaryChoice {
  /** The place of the host that is to be written to; `undefined` where there is none, or not all have answered. */
  readonly host: number | undefined;
  /** Of each host; `stale`: it says that it is the primary, on a timeline that another one has left behind. */
  readonly places: readonly HostPlace[];
}

/**
 * Which of several hosts is the primary: the writable one on the highest timeline. An old primary that nobody has
 * fenced says that it is writable too, so that whoever has not answered yet is waited for, and a timeline lower than
 * one that was seen before is refused. A host of another system is taken only where none of the known one answers.
 * @param seen What was written to last.
 * @param current The present choice, which is kept where nothing speaks against it.
 */
export function choosePrimary(
  states: readonly HostState[],
  seen: ClusterIdentity | undefined,
  current: number | undefined,
): PrimaryChoice {
  const roles = states.map((state) => (state.kind === 'answers' ? state.role : undefined));
  const isKnownThere = seen !== undefined && roles.some((role) => role?.system === seen.system);
  const isOfCluster = (role: HostRole): boolean =>
    !isKnownThere || role.system === undefined || role.system === seen?.system;
  const writable = roles.flatMap((role, host) =>
    role?.isWritable === true && isOfCluster(role) ? [{ host, timeline: role.timeline ?? 0 }] : [],
  );
  const highest = Math.max(
    isKnownThere ? (seen?.timeline ?? 0) : 0,
    ...writable.map(({ timeline }) => timeline),
  );
  const newest = writable.filter(({ timeline }) => timeline === highest || timeline === 0);
  const chosen = newest.find(({ host }) => host === current) ?? newest[0];
  const isWaiting = states.some(({ kind }) => kind === 'asked') && chosen?.host !== current;
  const host = isWaiting ? undefined : chosen?.host;
  return {
    host,
    places: roles.map((role, place): HostPlace => {
      if (role === undefined) return 'silent';
      if (!role.isWritable) return 'standby';
      return place === host || newest.some((one) => one.host === place) ? 'primary' : 'stale';
    }),
  };
}
