import { createPublicKey, verify } from 'node:crypto';
import { fieldsOf } from '../../ssh-wire.ts';
import { manifestNamespace } from '../manifest.ts';

// The seal of a manifest, as `ssh-keygen -Y sign` writes it (PROTOCOL.sshsig), looked at where there is no ssh-keygen to ask, and
// no list of whose it may be: it says itself which key has made it.

export interface Seal {
  /** The public half of the key: `ssh-ed25519 AAAA…`. */
  readonly key: string;
  /** Whether that key has sealed what has this SHA-512. */
  holds(sha512: Buffer): boolean;
}

/** Undefined for what is no seal of a host: another kind of key or of digest, or a signature for something else. */
export function parseSeal(armour: string): Seal | undefined {
  const [, base64] =
    /^-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]{1,20000})\n-----END SSH SIGNATURE-----\n?$/.exec(armour) ?? [];
  if (base64 === undefined) return undefined;
  const blob = Buffer.from(base64, 'base64');
  if (blob.subarray(0, 6).toString('latin1') !== 'SSHSIG' || blob.length < 10 || blob.readUInt32BE(6) !== 1)
    return undefined;
  const fields = fieldsOf(blob.subarray(10));
  if (fields?.length !== 5) return undefined;
  const [key, namespace, reserved, digest, signature] = fields as [Buffer, Buffer, Buffer, Buffer, Buffer];
  if (namespace.toString('latin1') !== manifestNamespace || digest.toString('latin1') !== 'sha512') return undefined;
  const raw = ofEd25519(key, 32);
  const proof = ofEd25519(signature, 64);
  if (raw === undefined || proof === undefined) return undefined;
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') };
  return {
    key: `ssh-ed25519 ${key.toString('base64')}`,
    holds(sha512) {
      const signed = Buffer.concat([Buffer.from('SSHSIG'), ...[namespace, reserved, digest, sha512].map(asField)]);
      return verify(null, signed, createPublicKey({ key: jwk, format: 'jwk' }), proof);
    },
  };
}

function ofEd25519(bytes: Buffer, length: number): Buffer | undefined {
  const [kind, value, ...more] = fieldsOf(bytes) ?? [];
  const isOne = kind?.toString('latin1') === 'ssh-ed25519' && value?.length === length && more.length === 0;
  return isOne ? value : undefined;
}

function asField(value: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(value.length);
  return Buffer.concat([length, value]);
}
