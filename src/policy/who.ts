import type { JudgedRequest } from '../operations/judgement.ts';
import type { Requester } from '../operations/run.ts';
import type { Person } from '../people/person.ts';

/** A person, as far as a policy cares. */
export type KnownPerson = Pick<Person, 'name' | 'role' | 'disabled'>;

/** Who a request is judged as: of a run that was started by another one, who asked for the first of them. */
export function askerOf({ requestedBy, onBehalfOf }: Pick<JudgedRequest, 'requestedBy' | 'onBehalfOf'>): Requester {
  return onBehalfOf ?? requestedBy;
}

/**
 * Whether `who` of a rule is this one.
 *
 * @param restricts what a rule takes from a person it takes from their agents, too, and where nobody knows who is behind
 * a run, from that; what it gives it gives to nobody else
 */
export function isWho(who: string, by: Requester, people: readonly KnownPerson[], restricts: boolean): boolean {
  const [kind, ...rest] = who.split(':');
  const name = rest.join(':');
  if (kind === 'everybody') return true;
  if (by.kind === 'run') return restricts;
  const person = by.kind === 'person' ? by.name : restricts ? by.for : undefined;
  switch (kind) {
    case 'people':
      return person !== undefined;
    case 'person':
      return person === name;
    case 'role':
      return person !== undefined && people.some((one) => one.name === person && one.role === name);
    case 'agents':
      // A login name proves nothing: a model with a shell has one, too.
      return by.kind === 'mcp' || by.kind === 'cli';
    case 'token':
      return by.kind === 'mcp' && by.name === name;
    case 'schedules':
      return by.kind === 'schedule';
    case 'schedule':
      return by.kind === 'schedule' && by.name === name;
    default:
      return false;
  }
}

/** For a sentence: `the token claude`, `anna`, `the schedule back-up/daily/pve1`. */
export function inWords({ kind, name }: Requester): string {
  switch (kind) {
    case 'person':
      return name;
    case 'mcp':
      return `the token ${name}`;
    case 'cli':
      return `who is logged in as ${name}`;
    case 'schedule':
      return `the schedule ${name}`;
    case 'run':
      return `the run ${name}`;
    case 'demo':
      return 'the demo';
  }
}
