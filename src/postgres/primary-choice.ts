import type { ClusterIdentity, HostRole } from './cluster-identity.js';

/** The state of a host by its latest answer. */
export type HostState =
  /** It was asked, and still has time to answer. */
  | { readonly kind: 'asked' }
  | { readonly kind: 'silent'; readonly error: Error }
  | { readonly kind: 'answers'; readonly role: HostRole };

/** The role of a host for a server. */
export type HostPlace = 'primary' | 'standby' | 'silent' | 'stale';

export interface PrimaryChoice {
  /** The index of the host to write to; `undefined` if there is none, or not all have answered. */
  readonly host: number | undefined;
  /** Of each host; `stale`: it claims to be the primary, on a timeline that another host has left behind. */
  readonly places: readonly HostPlace[];
}

/**
 * Which of several hosts is the primary: the writable one on the highest timeline. An old primary that nobody has
 * fenced claims to be writable too. It therefore waits for hosts that have not answered yet, and refuses a timeline
 * lower than one seen before. It accepts a host of another system only if no host of the known system answers.
 * @param seen The PostgreSQL last written to.
 * @param current The present choice, which is kept unless something speaks against it.
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
