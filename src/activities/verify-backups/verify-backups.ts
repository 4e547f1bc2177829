import { Context } from '@temporalio/activity';
import { sizesIn } from '../../backups/copies/remotes.ts';
import { createCopyStore } from '../../backups/copies/store.ts';
import type { Config } from '../../config.ts';
import { listBackups } from '../../hosts/commands/back-up/archives.ts';
import { readArchive, spotCheck } from '../../hosts/commands/verify-backups/archives.ts';
import type { Hosts } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { readGuestBackups } from '../../proxmox/guest-backups.ts';
import { inspectCopies } from '../check-health/copies.ts';
import { inspectGuestBackups } from '../check-health/guest-backups.ts';
import { readGuests } from '../check-health/guests.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { proxmoxReader, type Ways } from '../lib/proxmox-reader.ts';
import { runJob } from '../lib/run-job.ts';
import { compareWithPlace, judgePlace, judgeWithoutCopy, whichToCompare as whichCopiesToCompare } from './copies.ts';
import { inspectJobs, inspectKeys, judgeAway, judgeDamaged, judgeSizes, onlyByApi } from './guests.ts';
import { judgeArchives, judgeRead, judgeSpot, judgeTurns, whichToCompare, whichToRead } from './judge.ts';

export const queue = 'host';

/** The archives of a host, and what is to be looked at of them. */
export interface ArchivesToVerify {
  readonly findings: readonly Finding[];
  /** Ids of those that are read whole this time. */
  readonly read: readonly string[];
  /** Absent where there is none with a manifest. */
  readonly compare?: { readonly backup: string; readonly older: string };
}

/** The copies of a host's archives off it, and what is to be looked at of them. */
export interface CopiesToVerify {
  readonly findings: readonly Finding[];
  /** Ids of those that are compared with what was written. */
  readonly compare: readonly string[];
  /** Further places, as BACKUP_REMOTES names them. */
  readonly places: readonly string[];
}

/** Looks at the backups of a host. Nothing of it changes a backup, and each may be asked again at any time. */
export interface VerifyBackupsActivities {
  /** @param all every archive is to be read */
  judgeListOfArchives(input: { readonly host: string; readonly all: boolean }): Promise<ArchivesToVerify>;
  /** Reads one from beginning to end, which may take hours. What is wrong with it is the finding. */
  readWholeArchive(input: { readonly host: string; readonly backup: string }): Promise<Finding>;
  compareWithSource(input: {
    readonly host: string;
    readonly backup: string;
    readonly older: string;
  }): Promise<readonly Finding[]>;
  /** @param archives - whether the host can be asked which archives it has */
  judgeListOfCopies(input: {
    readonly host: string;
    readonly all: boolean;
    readonly archives: boolean;
  }): Promise<CopiesToVerify>;
  /** Asks a further place what it holds. What isn't there as it was brought is brought there again by the next run of `copy-backups`. */
  lookIntoPlace(input: { readonly host: string; readonly place: string }): Promise<readonly Finding[]>;
  verifyGuestBackups(input: { readonly host: string; readonly ways: Ways }): Promise<readonly Finding[]>;
}

export function createVerifyBackupsActivities({
  hosts,
  proxmox,
  config,
}: {
  readonly hosts: Hosts;
  readonly proxmox: ProxmoxApis;
  readonly config: Pick<Config, 'copies'>;
}): VerifyBackupsActivities {
  const store = createCopyStore(config.copies.folder);
  return {
    async judgeListOfArchives({ host: name, all }) {
      const backups = await hosts.get(name).run(listBackups, {});
      const compare = whichToCompare(backups.archives);
      const turns = whichToRead(backups.archives, Date.parse(backups.now), all);
      return {
        findings: [...judgeArchives(backups, name), ...judgeTurns(turns, name)],
        read: turns.read,
        ...(compare !== undefined && { compare }),
      };
    },

    async readWholeArchive({ host, backup }) {
      const found = await runJob(hosts.get(host), readArchive, { backup }, { step: `read ${backup} whole` });
      return judgeRead(backup, found, host);
    },

    async compareWithSource({ host, backup, older }) {
      const found = await runJob(hosts.get(host), spotCheck, { backup, older }, { step: `spot check ${backup}` });
      return judgeSpot(backup, older, found);
    },

    async judgeListOfCopies({ host: name, all, archives }) {
      const host = hosts.get(name);
      const copies = store.list(name);
      const found = archives ? await host.run(listBackups, {}) : undefined;
      const without =
        found === undefined || host.config.copies === undefined
          ? []
          : judgeWithoutCopy(found.archives, copies, Date.parse(found.now), name);
      return {
        findings: [...inspectCopies(host.config, store.folder, new Date()), ...without],
        compare: whichCopiesToCompare(copies, Date.now(), all),
        places: copies.length === 0 ? [] : config.copies.remotes,
      };
    },

    async lookIntoPlace({ host, place }) {
      const copies = store.list(host);
      const brought = copies.filter(({ places }) => Object.hasOwn(places, place));
      const options = { signal: Context.current().cancellationSignal };
      const found = compareWithPlace(brought, await withHeartbeat(() => sizesIn(place, brought, options)));
      for (const backup of [...found.missing, ...found.other]) store.displaced(host, backup, place);
      return judgePlace(place, { brought, copies }, found, host);
    },

    async verifyGuestBackups({ host, ways }) {
      const options = { signal: Context.current().cancellationSignal };
      const reader = proxmoxReader({ hosts, proxmox }, host, ways, options);
      if (reader === undefined) throw new Error(`${host} is reached by nothing`);
      const timeZone = proxmox.hosts.find(({ name }) => name === host)?.timeZone ?? 'UTC';
      const [ages, backups, guests] = await Promise.all([
        inspectGuestBackups(reader, timeZone),
        readGuestBackups(reader),
        readGuests(reader),
      ]);
      const covered = ways.api ? await inspectJobs(reader, guests, () => proxmox.node(host, options)) : onlyByApi;
      return [
        ...covered,
        ...ages,
        ...judgeAway(backups),
        ...judgeSizes(guests, backups),
        ...judgeDamaged(backups),
        ...(ways.api ? await inspectKeys(reader, guests, backups) : []),
      ];
    },
  };
}
