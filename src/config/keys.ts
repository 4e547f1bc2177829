import { hostKeys } from './host-keys.ts';
import type { Key } from './key.ts';
import { serviceKeys } from './service-keys.ts';

type ValueOf<K> = K extends Key<infer Value> ? Value : never;
type ValuesOf<Keys> = { readonly [Name in keyof Keys]: ValueOf<Keys[Name]> };

/** Every key, by name: the one table. */
export const keys: Readonly<Record<string, Key>> = { ...serviceKeys, ...hostKeys };

/** Those that count as they were when a process started. */
export const keysAtStart: readonly string[] = Object.keys(keys).filter((name) => keys[name]?.atStart);

export type ServiceValues = ValuesOf<typeof serviceKeys>;
export type HostValues = ValuesOf<typeof hostKeys>;

/** `SMTP_PASSWORD_FILE` → `SMTP_PASSWORD`, when that is a secret. */
export function secretOfFileKey(name: string): string | undefined {
  const secret = name.endsWith('_FILE') ? name.slice(0, -'_FILE'.length) : undefined;
  return secret !== undefined && keys[secret]?.secret ? secret : undefined;
}

export function isKey(name: string): boolean {
  return Object.hasOwn(keys, name) || secretOfFileKey(name) !== undefined;
}

/** Whether the key, or the secret whose file it names, may stand in an entry of hosts.yaml. */
export function isHostKey(name: string): boolean {
  return Object.hasOwn(hostKeys, name) || Object.hasOwn(hostKeys, secretOfFileKey(name) ?? '');
}

/** Everything that may be written, with the `_FILE` variants. */
export const keyNames: readonly string[] = Object.entries(keys).flatMap(([name, { secret }]) =>
  secret ? [name, `${name}_FILE`] : [name],
);
