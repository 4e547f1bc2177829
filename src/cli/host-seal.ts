import type { HostConfig } from '../config.ts';
import type { Access } from '../hosts/install/brought.ts';
import { createSeals } from '../hosts/seals.ts';
import { fingerprintOf } from '../ssh-wire.ts';
import { print } from './terminal.ts';

/**
 * Pins the key with which a host seals its archives, as an administrator's login shows it. Where this service knew another one,
 * the administrator is asked: archives that the former key has sealed are taken only with a signature from then on.
 */
export async function pinSealOf(
  host: HostConfig,
  {
    dataDir,
    access,
    agree,
    isNew,
  }: {
    readonly dataDir: string;
    readonly access: Access;
    readonly agree: (plan: readonly string[]) => Promise<boolean>;
    /** Something was installed, so that a key that is known already is told, too. */
    readonly isNew: boolean;
  },
): Promise<void> {
  const { readSeal } = await import('../hosts/install/seal.ts');
  const key = await readSeal(host, access);
  const seals = createSeals({ dataDir });
  const is = seals.judge(host.name, key);
  const fingerprint = fingerprintOf(key);
  if (is === 'other') {
    const known = fingerprintOf(seals.pinned(host.name) ?? '');
    if (!(await agree([`take ${fingerprint} for the key that seals its archives, which was ${known}`]))) return;
    seals.pin(host.name, key);
  } else if (is === 'same' && !isNew) return;
  print(`Its archives are sealed by ${fingerprint}; this service takes no other.`);
}
