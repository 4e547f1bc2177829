import ssh2 from 'ssh2';

export interface KeyPair {
  /** OpenSSH's private key format. A secret: write it straight to its file, mode 0600. */
  readonly private: string;
  /** One line of an authorized_keys file. */
  readonly public: string;
}

/** `ssh-ed25519` and 32 bytes, each after its length. */
const publicKeyBytes = 4 + 11 + 4 + 32;

/**
 * A new ed25519 key pair. ssh2 1.17 makes one of 256 of them malformed, because it takes a public key's leading zero bytes
 * for padding (lib/keygen.js), and OpenSSH refuses those; they are thrown away here.
 */
export function newKeyPair(comment: string): KeyPair {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    const blob = Buffer.from(pair.public.split(' ')[1] ?? '', 'base64');
    if (blob.length === publicKeyBytes) return { private: pair.private, public: pair.public };
  }
}
