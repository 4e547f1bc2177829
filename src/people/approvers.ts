import type { Requester } from '../operations/run.ts';
import { includesRole, type Role } from './person.ts';

/** A person, as far as an approval cares. */
interface Approver {
  readonly name: string;
  readonly role: Role;
  readonly disabled?: boolean | undefined;
}

/**
 * Names of those who may approve, as things are now: enabled, of at least that role, and not who asked. A person never
 * approves their own request. Of a request of somebody's agent its owner may be the one approver that is needed, because
 * an agent asks and a person decides; where two or more are needed, the owner counts as who asked.
 */
export function whoMayApprove(
  people: readonly Approver[],
  asked: { readonly role: Role; readonly count: number; readonly requestedBy: Requester },
): readonly string[] {
  const excluded = requestingPerson(asked);
  return people
    .filter(({ name, role, disabled }) => !disabled && includesRole(role, asked.role) && name !== excluded)
    .map(({ name }) => name);
}

function requestingPerson({ count, requestedBy: by }: { readonly count: number; readonly requestedBy: Requester }) {
  if (by.kind === 'person') return by.name;
  return by.kind === 'mcp' && count >= 2 ? by.for : undefined;
}
