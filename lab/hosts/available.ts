import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ServiceError } from '../../src/errors.ts';
import { ensureImage } from './image.ts';

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

/**
 * Without the kinds of hosts whose Debian this machine's archive doesn't have any more, as old releases move elsewhere.
 * Says so on standard error. Builds the images that are missing, so that it knows.
 */
export async function stillHad<Kind extends { readonly debian: string }>(kinds: readonly Kind[]): Promise<Kind[]> {
  if (whyNoLab() !== undefined) return [...kinds];
  const had: Kind[] = [];
  for (const kind of kinds) {
    try {
      await ensureImage(kind.debian);
      had.push(kind);
    } catch (error) {
      // debootstrap's words.
      if (!(error instanceof ServiceError) || !/Failed getting release file/.test(error.remedy)) throw error;
      console.error(`\nNOT TESTED: ${kind.debian} is left out, as this machine's Debian archive has it no more.\n`);
    }
  }
  return had;
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
