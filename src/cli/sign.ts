import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceError } from '../errors.ts';
import { sshKeygen } from '../hosts/local/ssh-keygen.ts';
import { readKeyFile } from '../hosts/ssh/key-file.ts';
import { signatureIn, signatureNamespace } from '../ssh-signature.ts';
import { note } from './terminal.ts';

/**
 * A person's signature of a text that a host verifies, with their own SSH key. Throws `cancelled` where none was made: a
 * wrong passphrase, no touch, no such key.
 */
export async function signText(text: string, keyFile: string): Promise<string> {
  // What lies open is nobody's signature; only the host's administrators can keep such a key from its list.
  if (readKeyFile(keyFile).kind === 'usable') {
    note(
      `${keyFile} has no passphrase: whatever has a shell as you, a model included, can sign with it. Give it one: ssh-keygen -p -f ${keyFile}`,
    );
  }
  const folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-sign-'));
  const file = join(folder, 'text');
  try {
    writeFileSync(file, text, { mode: 0o600 });
    const exitCode = await sshKeygen(['-Y', 'sign', '-n', signatureNamespace, '-f', keyFile, file]);
    if (exitCode === 0) return signatureIn(readFileSync(`${file}.sig`, 'utf8'));
    throw new ServiceError({
      code: 'cancelled',
      message: `Nothing was signed: ${exitCode === 127 ? 'there is no ssh-keygen here' : `ssh-keygen could not sign with ${keyFile}`}`,
      remedy: 'Name the private key whose public part is on the list of the host, and give its passphrase.',
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
