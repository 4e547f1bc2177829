import type { z } from 'zod';
import type { HostConfig } from '../../config.ts';
import type { ArgumentsOf } from '../commands/command.ts';
import { readAnswer } from '../create-hosts.ts';
import { type BroughtCommand, generateBrought } from '../helper/generate-helper.ts';
import { checkArguments } from '../helper/resolve.ts';
import { type Administrator, connectAdministrator } from './administrator.ts';
import type { InstallOptions } from './options.ts';

/** How an administrator is reached who executes a command on a host by a login of their own. */
export type Access = Pick<InstallOptions, 'login' | 'log' | 'sudoPassword'>;

/** Acts over an administrator's login on a host. Throws what connecting and becoming root throw. */
export async function withAdministrator<T>(
  host: HostConfig,
  { login, log, sudoPassword }: Access,
  act: (admin: Administrator) => Promise<T>,
): Promise<T> {
  const needsRoot = host.ssh !== undefined || host.local?.sudo !== false;
  const admin = connectAdministrator(host.name, login, log, sudoPassword, needsRoot);
  try {
    return await act(admin);
  } finally {
    await admin.close();
  }
}

/** Runs a command over the administrator's login: its script is this version's, whatever helper the host has. */
export async function runBrought<C extends BroughtCommand, A>(
  admin: Administrator,
  host: HostConfig,
  command: C & { readonly answer: z.ZodType<A> },
  args: ArgumentsOf<C>,
): Promise<A> {
  const { values } = checkArguments(command, args, host);
  const script = generateBrought(host.layout, command);
  const result = await admin.runScript(script, [command.name, ...values], command.timeoutMs);
  return readAnswer({ config: host }, command, args, result);
}
