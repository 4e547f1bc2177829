import type { HostConfig } from '../../config.ts';
import { checkArguments, fillVector } from '../helper/resolve.ts';
import type { ArgumentsOf, ServiceCommand } from './command.ts';

/**
 * What is executed on the host, on one line, as plans show it and an administrator signs it: of a command as root its
 * verb and arguments without the fences (`change-unit restart nginx`; for a guest its number first), of one as the
 * service's user the whole vector, quoted as for a shell. Throws `invalid-input` for arguments that aren't of their form.
 */
export function callLine<C extends ServiceCommand>(config: HostConfig, command: C, args: ArgumentsOf<C>): string {
  const { resolved, values } = checkArguments(command, args, config);
  if (command.as === 'root') return [command.name, ...values].join(' ');
  return fillVector(resolved, values).map(word).join(' ');
}

/** A word as a person would type it: what isn't plain in quotes, and what can't be seen by its escape. */
function word(text: string): string {
  if (/^[A-Za-z0-9_/.=:@%+,-]+$/.test(text)) return text;
  if (/^[ -~]*$/.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`;
  return `$'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}
