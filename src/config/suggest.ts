import { distance } from 'fastest-levenshtein';
import { keyNames, keys } from './keys.ts';

/**
 * The known key that a mistyped one most likely stands for; `undefined` when none is near. What speaks of a secret, by
 * its name or by what stands there, is only led to a key that keeps it one, of the same group: any other would be shown.
 *
 * @param value - what was written for it.
 */
export function nearestKey(name: string, value = ''): string | undefined {
  const upper = name.toUpperCase().replaceAll('-', '_');
  const edits = (known: string) => distance(upper, known);
  const best = keyNames.reduce((a, b) => (edits(b) < edits(a) ? b : a));
  if (isSecretValue(value) || (secretName.test(upper) && edits(best) > 2)) {
    const group = upper.split('_')[0] ?? '';
    const secrets = keyNames.filter((known) => keys[known]?.secret && distance(group, known.split('_')[0] ?? '') <= 1);
    return secrets.length === 0 ? undefined : secrets.reduce((a, b) => (edits(b) < edits(a) ? b : a));
  }
  // Four letters wrong in a key of twelve is still a typing error; in a key of six it is another word.
  return edits(best) <= Math.max(2, Math.floor(best.length / 3)) ? best : undefined;
}

const secretName = /PASS|PSW|PWD|(^|_)PW|SECRET|TOKEN|CREDENTIAL|WEBHOOK|(API|ACCESS|PRIVATE)_?KEY/;

/** A UUID, a token of ours, a webhook, or what only a machine makes: long, with letters and digits. */
function isSecretValue(value: string): boolean {
  if (/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|pmcp_|hooks\.slack\.com|\/api\/webhooks\//i.test(value)) return true;
  const isFingerprint = /^[0-9a-f]{64}$/i.test(value);
  return !isFingerprint && /^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9+=_-]{24,}$/.test(value);
}

const prefixes = new Set(keyNames.map((name) => `${name.split('_')[0]}_`));

/** Variables of other programs that begin like ours. */
const foreign = /^(SSH_(AUTH_SOCK|AGENT_PID|CLIENT|CONNECTION|TTY|ASKPASS|ORIGINAL_COMMAND)|TIME_STYLE)/;

/**
 * Whether a variable of the process's environment looks like a mistyped key of ours: one of our prefixes and at most
 * two letters off. Everything else in the environment belongs to somebody else.
 */
export function nearMiss(name: string, value: string): string | undefined {
  if (foreign.test(name) || ![...prefixes].some((prefix) => name.startsWith(prefix))) return undefined;
  const known = nearestKey(name, value);
  return known !== undefined && distance(name, known) <= 2 ? known : undefined;
}
