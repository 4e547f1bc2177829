import { ServiceError } from '../errors.ts';

/** Path templates whose last value has slashes of its own: a volume, and a network in an IP set. */
const slashTemplate = /\/(content|ipset\/\*)\/\*$/;

/**
 * Makes the path that is sent from what `proxmox-api` gives: the path with its values put in, and the same path with
 * `*` in their places. Each value stays within its one segment: `..`, `/`, `?`, `#`, `%` and the like are refused, so
 * that a value from outside can't reach another call than the one that was written.
 *
 * @throws ServiceError `invalid-input`
 */
export function safePath(path: string, template: string): string {
  const given = path.split('/').slice(1);
  const shape = template.split('/').slice(1);
  if (given.length !== shape.length) throw refused(path, 'it has another number of segments than its template');
  return `/${given.map((segment, index) => safeSegment(segment, shape, index, template)).join('/')}`;
}

function safeSegment(segment: string, shape: readonly string[], index: number, template: string): string {
  if (shape[index] !== '*') {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_-]*$/.test(segment)) throw refused(segment, 'it is not a name of the API');
    return segment;
  }
  const last = index === shape.length - 1;
  // proxmox-api has escaped slashes, and nothing else.
  const parts = segment.split('%2F');
  if (parts.length > 1 && !(last && slashTemplate.test(template)))
    throw refused(segment, 'a slash is not allowed here');
  return parts.map(safeValue).join('%2F');
}

function safeValue(value: string): string {
  if (value === '') throw refused(value, 'it is empty');
  if (value === '.' || value === '..') throw refused(value, 'it would change the path');
  // A Proxmox Backup Server's UPID has what a unit of systemd can't have in its name as `\x2d`; backslashes are sent as %5C.
  const plain = value.startsWith('UPID:') ? value.replace(/\\x[0-9a-f]{2}/g, '') : value;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (/[?#%/\\\u0000-\u001f\u007f\p{Surrogate}]/u.test(plain))
    throw refused(value, 'it has a character that is not allowed');
  return encodeURIComponent(value);
}

function refused(value: string, why: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `${JSON.stringify(value.slice(0, 100))} can't be part of a Proxmox API path: ${why}.`,
    remedy: 'Give the plain name or number of the node, guest, storage or task.',
  });
}
