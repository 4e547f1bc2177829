import { defaultKeep, type KeepOfKinds, planRetention, type RetentionPlan } from '../../backups/plan-retention.ts';
import { parseKeep } from '../../backups/retention.ts';
import type { HostConfig } from '../../config.ts';
import type { Backups } from '../../hosts/commands/back-up/archives.ts';

/** Which archives on a host are to go, by what is configured for it, in its own days and weeks. */
export function planHostRetention(host: HostConfig, backups: Backups, now: Date): RetentionPlan {
  const { archives, proven } = backups;
  const kept = archives.map((archive) => {
    const provenAt = proven.find(({ id }) => id === archive.id)?.at;
    return {
      ...archive,
      isProtected: backups.protected.includes(archive.id),
      ...(provenAt !== undefined && { provenAt }),
    };
  });
  const options = { keep: keepOf(host), timeZone: host.timeZone, now };
  return planRetention({ now: backups.now, backups: kept, gone: backups.gone }, options);
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
