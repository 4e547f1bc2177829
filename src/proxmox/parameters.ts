import { ServiceError } from '../errors.ts';

/**
 * Parameters as Proxmox reads them: booleans as 1 and 0, lists as a repeated key, `undefined` and `null` left out. The
 * caller's object isn't touched.
 *
 * @throws ServiceError `invalid-input` for values that have no such form
 */
export function encodeParameters(parameters: Readonly<Record<string, unknown>> | undefined): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (value === undefined || value === null) continue;
    for (const item of Array.isArray(value) ? value : [value]) search.append(name, encodeValue(name, item));
  }
  return search.toString();
}

function encodeValue(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value))) return String(value);
  throw new ServiceError({
    code: 'invalid-input',
    message: `The parameter "${name}" can't be sent to Proxmox: it is neither text, number, yes or no, nor a list of these.`,
    remedy: 'Give it in the form that the Proxmox API documents.',
    details: { field: name },
  });
}
