import { createHash } from 'node:crypto';
import { ApiFailure } from './answer.ts';

/** The checksum of a part of the configuration, as the API gives and takes it. An empty file has the one of nothing. */
export function digestOf(content: unknown): string {
  return createHash('sha1')
    .update(isEmpty(content) ? '' : JSON.stringify(content, plain))
    .digest('hex');
}

/** Refuses a change that was made for another state of the file. */
export function requireDigest(given: unknown, content: unknown): void {
  if (given === undefined || given === '' || given === digestOf(content)) return;
  throw new ApiFailure(500, 'detected modified configuration - file changed by other user? Try again.');
}

function plain(_: string, value: unknown): unknown {
  return value instanceof Map || value instanceof Set ? [...value] : value;
}

function isEmpty(content: unknown): boolean {
  if (content instanceof Map || content instanceof Set) return content.size === 0;
  if (typeof content !== 'object' || content === null) return content === undefined || content === null;
  return Object.values(content).every(isEmpty);
}
