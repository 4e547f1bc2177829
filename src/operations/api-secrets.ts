// Which fields of the Proxmox API hold secrets. A secret in a run's input would be in its history, and one in an answer in a
// conversation, so that neither is taken nor shown.

const secretNames = new Set(
  'key keys apikey api-key certkey cert-key client-key privkey private-key encryption-key keyring cipassword passwd auth authkey bindpw eab-hmac-key otel-headers header headers target-endpoint csrfpreventiontoken vncticket hashed_passwd'.split(
    ' ',
  ),
);
const secretWords =
  /(^|[-_.])(password|passphrase|pass|secret|secrets|token|ticket|otp|totp|credential|credentials)($|[-_.])/;
/** What has such a word in its name and is none. `lock-token` says only who holds the lock of the network's configuration. */
const harmless = new Set(
  'tokenid full-tokenid token-coefficient lock-token tokens no-password generate-password totp-locked'.split(' '),
);

/** Whether a field of this name holds a secret. */
export function isSecretName(name: string): boolean {
  const plain = name.toLowerCase();
  return !harmless.has(plain) && (secretNames.has(plain) || secretWords.test(plain));
}

const secretValue =
  /PVEAPIToken|PVEAuthCookie|-----BEGIN [A-Z ]*PRIVATE KEY|(^|[,;\s?&])(password|passwd|cipassword|secret|apitoken|token|credentials)=/i;

/** Whether a text looks as if a secret were in it, whatever its field is called. */
export function holdsSecret(value: string): boolean {
  return secretValue.test(value);
}
