import type { Call, CallAnswer } from '../../messages/calls.js';
import { type BatchOperation, failed, type WriteOperation } from '../../store/operation.js';
import type { SingleOperation } from './perform.js';
import type { Replies } from './replies.js';

export interface QueuedCall {
  readonly call: Call;
  readonly replies: Replies;
}

export interface QueuedSingle extends QueuedCall {
  readonly operation: SingleOperation;
}

/** A batch operation for a call that has its own transaction. */
export function alone(operation: BatchOperation<unknown>): WriteOperation<unknown> {
  return {
    kind: 'write',
    async run(connection, input, context) {
      const [result] = await operation.runAll(connection, [{ input, context }]);
      return result ?? failed('INTERNAL');
    },
  };
}

export function linksMadeBy(answer: CallAnswer): number {
  if (!answer.ok || answer.isReplayed === true || answer.isExisting === true) return 0;
  return answer.made ?? (answer.shortCode === undefined ? 0 : 1);
}

/** Whether the caller still waits. A call that nobody waits for must not begin: its caller may repeat it. */
export function isStillWanted({ call, replies }: QueuedCall): boolean {
  return call.deadlineMs > Date.now() && !replies.isGivenUp(call.id);
}
