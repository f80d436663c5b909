import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { isConnectionLoss } from './failures.js';

/** How long PostgreSQL may take to give up a statement before its connection is cut. */
const CANCEL_MS = 1000;

/**
 * Ends work past its deadline. PostgreSQL does not notice that a client has gone while a statement waits for
 * a lock: after a cut, the backend would stay, and the next connection would exceed DATABASE_POOL_MAX. We
 * therefore ask it to cancel, as psql does.
 * @returns whether the connection is no longer usable.
 */
export async function endWork(client: pg.ClientBase, worked: Promise<unknown>): Promise<boolean> {
  const ended = worked.then(
    () => 'usable' as const,
    (error: unknown) => (isConnectionLoss(error) ? ('broken' as const) : ('usable' as const)),
  );
  // Wait for both, because a late cancellation would hit the next caller's statement.
  const canceled = Promise.all([ended, requestCancel(client)]).then(([state]) => state);
  const state = await Promise.race([canceled, sleep(CANCEL_MS, 'late' as const, { ref: false })]);
  if (state === 'late') destroy(client);
  return state !== 'usable';
}

/** Asks PostgreSQL, over a separate connection, to cancel what a connection is running. */
function requestCancel(client: pg.ClientBase): Promise<void> {
  const { host, port, processID, secretKey } = client as unknown as {
    host: string;
    port: number;
    processID: number;
    secretKey: number;
  };
  const request = Buffer.alloc(16);
  request.writeInt32BE(request.length, 0);
  request.writeInt32BE(CANCEL_REQUEST, 4);
  request.writeInt32BE(processID, 8);
  request.writeInt32BE(secretKey, 12);
  return new Promise((resolve) => {
    const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect({ host, port });
    socket.setTimeout(CANCEL_MS, () => socket.destroy());
    // Then the statement's own time-out ends it.
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
    socket.resume();
    socket.end(request);
  });
}

/** The code that PostgreSQL's protocol gives to a cancel request. */
const CANCEL_REQUEST = 80877102;

/** Ends a connection by the protocol, or at once if PostgreSQL does not release it. */
export async function closeConnection(client: pg.ClientBase): Promise<void> {
  const isClosed = (client as pg.Client).end().then(
    () => true,
    () => true,
  );
  const inTime = await Promise.race([isClosed, sleep(CANCEL_MS, false, { ref: false })]);
  if (!inTime) destroy(client);
}

/** Ends a connection at once, whatever it is doing, without a message to PostgreSQL. */
export function destroy(client: pg.ClientBase): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}
