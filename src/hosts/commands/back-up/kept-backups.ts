import { defaultKeep, type KeepOfKinds, type KeptBackups } from '../../../backups/plan-retention.ts';
import { parseKeep } from '../../../backups/retention.ts';
import type { HostConfig } from '../../../config.ts';
import type { Backups } from './archives.ts';

/** The archives of a host as retention sees them. */
export function keptBackups({ now, archives, gone, protected: kept, proven }: Backups): KeptBackups {
  const backups = archives.map((archive) => {
    const provenAt = proven.find(({ id }) => id === archive.id)?.at;
    return { ...archive, isProtected: kept.includes(archive.id), ...(provenAt !== undefined && { provenAt }) };
  });
  return { now, backups, gone };
}

/** What a host keeps of each kind. */
export function keepOf({ keep = {} }: Pick<HostConfig, 'keep'>): KeepOfKinds {
  const of = (kind: keyof KeepOfKinds) => (keep[kind] === undefined ? undefined : parseKeep(keep[kind]));
  return {
    daily: of('daily') ?? defaultKeep.daily,
    full: of('full') ?? defaultKeep.full,
    monthly: of('monthly') ?? defaultKeep.monthly,
  };
}
