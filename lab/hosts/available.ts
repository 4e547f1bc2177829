import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Why this machine can have no lab, or undefined where it can: what `describe.skipIf` asks. Under CI it always can: there the
 * tests fail instead of being left out. Says so on standard error, once.
 */
export function whyNoLab(): string | undefined {
  if (process.env.CI) return undefined;
  reason ??= find();
  if (reason === '' || said) return reason || undefined;
  said = true;
  console.error(
    `\nNOT TESTED: the tests on real hosts are left out, as ${reason}. Mend it with: sudo scripts/lab-setup.sh\n`,
  );
  return reason;
}

let reason: string | undefined;
let said = false;

function find(): string {
  if (process.platform !== 'linux') return 'they need Linux';
  if (process.getuid?.() !== 0) return 'they need root, to mount the hosts’ file systems';
  const missing = ['docker', 'debootstrap', 'ssh'].filter((program) => !isOnPath(program));
  if (missing.length > 0) return `${missing.join(', ')} is missing`;
  const sockets = ['/var/run/docker.sock', '/run/proxmox-mcp-lab/docker.sock'];
  if (process.env.DOCKER_HOST || sockets.some((path) => existsSync(path)) || isOnPath('dockerd')) return '';
  return 'there is no Docker engine';
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
