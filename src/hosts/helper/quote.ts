import { ServiceError } from '../../errors.ts';

/** One word of a POSIX shell. Only for text that we generate: what comes from outside is never put into a shell. */
export function quote(text: string): string {
  if (/[^ \p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(text)) {
    throw new ServiceError({
      code: 'configuration',
      message: `A path or name of a host holds a character that can't be seen: ${JSON.stringify(text)}`,
      remedy: 'Use letters, digits and / . _ - in the paths and names of hosts.',
    });
  }
  return /^[A-Za-z0-9_/.=:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
