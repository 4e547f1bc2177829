import { ServiceError } from './errors.ts';

/** What the signature is for, so that no other signature of the same key passes for one. */
export const signatureNamespace = 'proxmox-mcp-approval';

/** A signature as it was pasted: the armour alone, with line ends as ssh-keygen writes them. Throws `invalid-input`. */
export function signatureIn(text: string): string {
  const found = /-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]{1,20000}\n-----END SSH SIGNATURE-----/.exec(
    text.replaceAll('\r', '').replaceAll(/^[ \t]+|[ \t]+$/gm, ''),
  );
  if (found) return `${found[0]}\n`;
  throw new ServiceError({
    code: 'invalid-input',
    message:
      'This holds no signature of ssh-keygen: it begins with -----BEGIN SSH SIGNATURE----- and ends with -----END SSH SIGNATURE-----',
    remedy: `Sign the text with: ssh-keygen -Y sign -n ${signatureNamespace} -f KEY FILE, and give all of FILE.sig.`,
  });
}
