/** Kafka's own names of errors, from whatever the client has wrapped them in. */
export function kafkaCodes(error: unknown): ReadonlySet<string> {
  const codes = new Set<string>();
  collect(error, codes, 0);
  return codes;
}

const DEPTH_MAX = 5;

function collect(error: unknown, codes: Set<string>, depth: number): void {
  if (typeof error !== 'object' || error === null || depth > DEPTH_MAX) return;
  const { apiId, errors, cause } = error as { apiId?: unknown; errors?: unknown; cause?: unknown };
  if (typeof apiId === 'string') codes.add(apiId);
  if (Array.isArray(errors)) for (const one of errors) collect(one, codes, depth + 1);
  collect(cause, codes, depth + 1);
}

/** One line: Kafka's names of the errors, or what the network said. */
export function describeKafkaError(error: unknown): string {
  const codes = [...kafkaCodes(error)];
  if (codes.length > 0) return codes.join(', ');
  const texts: string[] = [];
  for (let one: unknown = error, depth = 0; one instanceof Error && depth <= DEPTH_MAX; depth += 1) {
    if (!texts.includes(one.message)) texts.push(one.message.replace(/\.$/, ''));
    one = one.cause;
  }
  return texts.join(': ').slice(0, 300) || String(error);
}

/** What passes by itself within moments: a coordinator that loads, a transaction whose end is being written. */
const passing: ReadonlySet<string> = new Set([
  'CONCURRENT_TRANSACTIONS',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'LEADER_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
]);

/** @param also What passes besides, for who asks. */
export function isPassing(error: unknown, also?: string): boolean {
  const codes = [...kafkaCodes(error)];
  return codes.length > 0 && codes.every((code) => passing.has(code) || code === also);
}
