import { lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { ServiceError } from '../../errors.ts';
import { replacePrivateFile } from '../../private-file.ts';
import { keyFileError, readKeyFile } from '../ssh/key-file.ts';
import { newKeyPair } from '../ssh/new-key.ts';

/** The public half of the private key in this file, `ssh-ed25519 AAAA…`; undefined when there is no file. */
export function publicKeyOf(path: string): string | undefined {
  const key = readKeyFile(path);
  if (key.kind === 'missing') return undefined;
  if (key.kind !== 'usable') throw keyFileError(path, key);
  return key.publicKey;
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
