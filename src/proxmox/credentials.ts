import type { ProxmoxApiConfig } from '../config.ts';
import type { Secret } from '../secret.ts';

/** How calls of the API say who they come from. */
export interface Credentials {
  /** `user@realm!name` of an API token, `user@realm` of a person who has signed in. */
  readonly id: string;
  readonly headers: (method: string) => Readonly<Record<string, string>>;
  /** Taken out of every text that comes back. */
  readonly secrets: readonly Secret[];
}

/** Of an API token: one header, and no CSRF prevention. A Proxmox Backup Server wants a colon before the secret. */
export function credentialsOfToken({ product, user, tokenName, tokenValue }: ProxmoxApiConfig): Credentials {
  const id = `${user}!${tokenName}`;
  return {
    id,
    headers: () => ({
      authorization:
        product === 'backup-server'
          ? `PBSAPIToken=${id}:${tokenValue.reveal()}`
          : `PVEAPIToken=${id}=${tokenValue.reveal()}`,
    }),
    secrets: [tokenValue],
  };
}
