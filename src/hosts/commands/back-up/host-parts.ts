import { z } from 'zod';
import { count } from '../answer.ts';

/** What the host's own configuration is of, in the order of a report. */
export const partKinds = [
  'proxmox',
  'network',
  'storage',
  'packages',
  'schedules',
  'keys',
  'kernel',
  'system',
  'chosen',
] as const;
export type PartKind = (typeof partKinds)[number];

const kind = z.enum(partKinds);
const path = z.string().startsWith('/');

/** Takes a line apart at its first spaces, and leaves the last part whole: a path may hold some. */
function fields(line: string, parts: number): string[] {
  const words = line.split(' ');
  return [...words.slice(0, parts - 1), words.slice(parts - 1).join(' ')];
}

/** `KIND BYTES FILES PATH` */
export const part = z
  .string()
  .transform((line) => fields(line, 4))
  .pipe(z.tuple([kind, count, count, path]))
  .transform(([of, bytes, files, at]) => ({ kind: of, bytes, files, path: at }));

/** `KIND PATH` */
export const pathOfPart = z
  .string()
  .transform((line) => fields(line, 2))
  .pipe(z.tuple([kind, path]))
  .transform(([of, at]) => ({ kind: of, path: at }));

export type HostPart = z.output<typeof part>;
export type PartPath = z.output<typeof pathOfPart>;

/** The host's own configuration: what of it is there or was copied, what the host doesn't have, and what can't be read. */
export interface HostConfiguration {
  readonly parts: readonly HostPart[];
  readonly absent: readonly PartPath[];
  readonly closed: readonly PartPath[];
}
