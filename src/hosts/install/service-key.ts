import { lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import ssh2 from 'ssh2';
import { ServiceError } from '../../errors.ts';
import { replacePrivateFile } from '../../private-file.ts';
import { newKeyPair } from '../ssh/new-key.ts';

/** The public half of the private key in this file, `ssh-ed25519 AAAA…`; undefined when there is no file. */
export function publicKeyOf(path: string): string | undefined {
  let text: Buffer;
  try {
    text = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(path, `it can't be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const key = ssh2.utils.parseKey(text);
  // Not the library's message: it may quote the file.
  if (key instanceof Error || !key.isPrivateKey()) {
    throw unusable(path, 'it is not a private key, it is damaged, or it has a passphrase');
  }
  return `${key.type} ${key.getPublicSSH().toString('base64')}`;
}

/** Makes the service's Ed25519 key pair: straight to its file, 0600. Nothing of it is returned but the public half. */
export function makeServiceKey(path: string): string {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw unusable(path, 'something else is there already');
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  replacePrivateFile(path, newKeyPair('proxmox-mcp').private);
  const publicKey = publicKeyOf(path);
  if (publicKey === undefined) throw unusable(path, 'it is gone again');
  return publicKey;
}

function unusable(path: string, why: string): ServiceError {
  return new ServiceError({
    code: 'configuration',
    message: `The service's SSH key ${path} can't be used: ${why}`,
    remedy: 'Name another file in SSH_KEY_PATH; one that is not there is made.',
  });
}
