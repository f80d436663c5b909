import type { InputFor, ListName, OperationName, RouteOf } from '../../api/registry.js';
import type { VisitInputs, VisitOperation } from '../../api/visits.js';
import type { CallName } from '../../messages/calls.js';
import { claimClick } from '../../store/claims.js';
import { eventOperations } from '../../store/events.js';
import { refuseRequest } from '../../store/idempotency.js';
import { keyLookups, keyOperations } from '../../store/keys.js';
import { linkOperations } from '../../store/links.js';
import type {
  BatchOperation,
  ListOperation,
  LongOperation,
  Operation,
  ReadOperation,
  WriteOperation,
} from '../../store/operation.js';
import { statsOperations } from '../../store/stats.js';
import { userOperations } from '../../store/users.js';
import { checkPassword, previewLink } from '../../store/visits.js';

/** What an operation must be for the routes that perform it: its input, and its kind. */
type OperationOf<Name extends OperationName> =
  RouteOf<Name> extends { performs: 'list' }
    ? ListOperation<InputFor<Name>>
    : RouteOf<Name> extends { kind: 'read' }
      ? ReadOperation<InputFor<Name>>
      : RouteOf<Name> extends { kind: 'long' }
        ? LongOperation<InputFor<Name>>
        : WriteOperation<InputFor<Name>> | BatchOperation<InputFor<Name>>;

/** Every operation that a route performs; the compiler reports a missing one. */
const operations: { readonly [Name in OperationName]: OperationOf<Name> } = {
  ...linkOperations,
  ...userOperations,
  ...eventOperations,
  ...keyOperations,
  ...statsOperations,
};

const visitOperations: { readonly [Name in VisitOperation]: Operation<VisitInputs[Name]> } = {
  claimClick,
  checkPassword,
  previewLink,
};

const all: { readonly [Name in CallName]: Operation<never> } = {
  ...operations,
  ...visitOperations,
  ...keyLookups,
  refuseRequest,
};

export const operationNames = Object.keys(all) as CallName[];

/** An operation for an input that was checked for it. */
export function operationOf(name: CallName): Operation<unknown> {
  return all[name] as Operation<unknown>;
}

/** Whether only a route reads with it: reads for a visit or a key go to the primary. */
export function isRead(name: CallName): boolean {
  const kind = name in operations ? operationOf(name).kind : undefined;
  return kind === 'read' || kind === 'list';
}

export function listOf(name: ListName): ListOperation<unknown> {
  return operations[name];
}
