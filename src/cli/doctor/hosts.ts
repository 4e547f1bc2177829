import { readFileSync, statSync } from 'node:fs';
import type { HostConfig, SshConfig } from '../../config.ts';
import { type Check, failed, ok } from './check.ts';
import { codeOf } from './machine.ts';

/** What can be tried of one host. */
export function hostChecks(host: HostConfig): Check[] {
  const { name, ssh } = host;
  return [...(ssh ? [keyFile(name, ssh)] : [])];
}

function keyFile(name: string, { keyPath }: SshConfig): Check {
  return {
    name: `${name}: SSH key`,
    tried: `read ${keyPath} and look at its mode`,
    run() {
      try {
        const mode = statSync(keyPath).mode & 0o777;
        if ((mode & 0o077) !== 0) {
          return failed(
            `${keyPath} may be read by other users (mode ${mode.toString(8)})`,
            `Run: chmod 600 ${keyPath}`,
          );
        }
        if (!/^-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(readFileSync(keyPath, 'utf8'))) {
          return failed(`${keyPath} isn't a private key`, 'Name the private key in SSH_KEY_PATH, not the .pub file.');
        }
        return ok(`${keyPath}, mode ${mode.toString(8)}`);
      } catch (error) {
        const missing = codeOf(error) === 'ENOENT';
        return failed(
          missing ? `${keyPath} isn't there` : `${keyPath} can't be read (${codeOf(error)})`,
          missing
            ? `Make one: ssh-keygen -t ed25519 -N '' -f ${keyPath}`
            : 'Give it to the user that runs the service.',
        );
      }
    },
  };
}
