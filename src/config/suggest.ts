import { distance } from 'fastest-levenshtein';
import { keyNames } from './keys.ts';

/** The known key that a mistyped one most likely stands for; `undefined` when none is near. */
export function nearestKey(name: string): string | undefined {
  const upper = name.toUpperCase().replaceAll('-', '_');
  const best = keyNames
    .map((known) => ({ known, edits: distance(upper, known) }))
    .reduce((a, b) => (b.edits < a.edits ? b : a));
  // Four letters wrong in a key of twelve is still a typing error; in a key of six it is another word.
  return best.edits <= Math.max(2, Math.floor(best.known.length / 3)) ? best.known : undefined;
}

const prefixes = new Set(keyNames.map((name) => `${name.split('_')[0]}_`));

/** Variables of other programs that begin like ours. */
const foreign = /^(SSH_(AUTH_SOCK|AGENT_PID|CLIENT|CONNECTION|TTY|ASKPASS|ORIGINAL_COMMAND)|TIME_STYLE)/;

/**
 * Whether a variable of the process's environment looks like a mistyped key of ours: one of our prefixes and at most
 * two letters off. Everything else in the environment belongs to somebody else.
 */
export function nearMiss(name: string): string | undefined {
  if (foreign.test(name) || ![...prefixes].some((prefix) => name.startsWith(prefix))) return undefined;
  const known = nearestKey(name);
  return known !== undefined && distance(name, known) <= 2 ? known : undefined;
}
