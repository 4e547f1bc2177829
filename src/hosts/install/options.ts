import type { HostConfig } from '../../config.ts';
import type { Log } from '../../log.ts';
import type { SshLogin } from '../ssh/credential.ts';
import type { SudoPassword } from './become-root.ts';

/** How the administrator logs in; undefined: this machine itself. */
export type AdministratorLogin = SshLogin | undefined;

/** So that a host that nobody can reach any more is as it was within a minute, its own work included. */
export const defaultRevertAfterSeconds = 50;

export interface InstallOptions {
  readonly login: AdministratorLogin;
  /** For an administrator whose sudo asks; undefined: such a one is refused. */
  readonly sudoPassword?: SudoPassword;
  readonly log: Log;
  /** The other configured hosts: none may be the same machine. */
  readonly others?: readonly HostConfig[];
  /** Where the service's key may be used from (`from=`); undefined: as it is on the host, `*` or empty: anywhere. */
  readonly from?: string;
  /** How long the host waits for the proof until it puts everything back. Default {@link defaultRevertAfterSeconds}. */
  readonly revertAfterSeconds?: number;
  /** Shows the plan's lines and asks; false ends with nothing done. */
  readonly agree: (plan: readonly string[]) => Promise<boolean>;
  /** Called, and waited for, before each step. */
  readonly progress?: (step: string) => void | Promise<void>;
}
