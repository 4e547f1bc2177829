import { ServiceError } from '../errors.ts';
import { fieldsOf } from '../ssh-wire.ts';

/** What `ssh-keygen -Y verify` can check, without DSA and certificates. `sk-` ones live in a hardware token that is touched. */
const types = [
  'ssh-ed25519',
  'sk-ssh-ed25519@openssh.com',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ecdsa-sha2-nistp256@openssh.com',
  'ssh-rsa',
] as const;

const shortestRsaBits = 2_048;

/**
 * A public key as one line, `TYPE BASE64 [COMMENT]`, checked and with single spaces. Throws `invalid-input` for everything
 * else: options before it, private keys, several lines.
 */
export function parsePublicKey(text: string): string {
  const [type = '', base64 = '', ...comment] = text.trim().split(/[ \t]+/);
  const blob = Buffer.from(base64, 'base64');
  if (/[\r\n]/.test(text.trim())) throw refused('it has several lines');
  if (!types.some((one) => one === type)) throw refused(`it begins with none of ${types.join(', ')}`);
  if (blob.toString('base64').replace(/=+$/, '') !== base64.replace(/=+$/, '')) throw refused('it is damaged');
  const [inner, ...parts] = fieldsOf(blob) ?? [];
  if (inner?.toString() !== type || parts.length === 0) throw refused(`it is damaged: it isn't of type ${type}`);
  const modulus = parts[1];
  if (type === 'ssh-rsa' && (modulus === undefined || (modulus.length - 1) * 8 < shortestRsaBits)) {
    throw refused(`RSA needs ${shortestRsaBits} bits`);
  }
  const name = comment.join(' ');
  if (!/^[\x20-\x7e]{0,100}$/.test(name)) throw refused('its comment is longer than 100 characters, or not of ASCII');
  return [type, base64, ...(name === '' ? [] : [name])].join(' ');
}

function refused(why: string): ServiceError {
  return new ServiceError({
    code: 'invalid-input',
    message: `This is no public key that can be used: ${why}`,
    remedy: 'Give the line of the .pub file, e.g. "ssh-ed25519 AAAA… anna@laptop".',
  });
}
