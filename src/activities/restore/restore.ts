import { Context } from '@temporalio/activity';
import { ServiceError } from '../../errors.ts';
import { callLine } from '../../hosts/commands/call-line.ts';
import {
  applyRestore,
  forgetRestore,
  lookForRestore,
  restoreState,
  stageRestore,
  undoRestore,
} from '../../hosts/commands/restore/restore.ts';
import type { Hosts } from '../../hosts/host.ts';
import type { restoreScopes } from '../../operations/restore.ts';
import { withHeartbeat } from '../lib/heartbeat.ts';
import { repeatable } from '../lib/repeat.ts';
import { currentRun, jobOf, runJob } from '../lib/run-job.ts';
import { stopJobs } from '../lib/stop-jobs.ts';

export const queue = 'host';

export type RestoreScope = (typeof restoreScopes)[number];

/** What is to come back, of which archive. */
export interface RestoreChoice {
  readonly host: string;
  readonly backup: string;
  readonly what: RestoreScope;
  /** Whole paths, or names of volumes; empty: all of it. */
  readonly selection: readonly string[];
}

/** Of one restore that the host has a record of. */
export interface RestoreInput {
  readonly host: string;
  /** `restore-YYYYMMDD-HHMMSS` */
  readonly restore: string;
  readonly fence: number;
}

/** A folder that is replaced as a whole, by what is in it; as of size, time, mode and owner. */
export interface ReplacedFolder {
  readonly path: string;
  readonly created: number;
  readonly changed: number;
  readonly removed: number;
  readonly same: number;
}

export interface RestoreLook {
  /** The host that the archive is of: its name and machine id. */
  readonly home: string;
  readonly isOtherMachine: boolean;
  readonly archive: { readonly name: string; readonly bytes: number; readonly sha256: string };
  /** False where it is so large that only staging reads it. */
  readonly isRead: boolean;
  readonly created: readonly string[];
  readonly replaced: readonly string[];
  /** Single files and links that are so already. */
  readonly same: number;
  readonly folders: readonly ReplacedFolder[];
  /** Some of the names in those folders that would come, change and go. */
  readonly names: {
    readonly comes: readonly string[];
    readonly changes: readonly string[];
    readonly goes: readonly string[];
  };
  readonly newVolumes: readonly string[];
  readonly space: readonly { readonly folder: string; readonly needed: number; readonly free: number }[];
  /** What has to stand still: `unit proxmox-mcp`, `container NAME`. */
  readonly stops: readonly string[];
  readonly touches: readonly string[];
  /** What the archive holds of it and is not restored: why, how much, the first. */
  readonly left: readonly { readonly why: string; readonly entries: number; readonly first: string }[];
  readonly differences: readonly string[];
  /** Why it can't be done. */
  readonly problems: readonly string[];
  readonly old: readonly string[];
  /** Over what would be replaced as it is now; not over what is in folders that services write to. */
  readonly fingerprint: string;
}

export interface RestoreRecord {
  readonly state: string;
  readonly why?: string;
  readonly units: number;
  readonly folders: readonly string[];
  readonly aside: readonly string[];
  readonly isForgotten: boolean;
}

export interface RestoreActivities {
  /** Changes nothing. Throws `forbidden` where the host hasn't sealed the manifest, `verification-failed` where it is of another archive. */
  lookForRestore(input: RestoreChoice): Promise<RestoreLook>;
  /** The calls of it. Changes nothing. */
  planRestore(
    input: RestoreChoice & { readonly restore: string; readonly sha256: string },
  ): Promise<{ readonly stage: string; readonly apply: string; readonly undo: string }>;
  /** Unpacks into folders of root's own, and compares with the manifest; nothing on the host is another for it. */
  stageRestore(
    input: RestoreInput & RestoreChoice & { readonly sha256: string },
  ): Promise<{ readonly lost: readonly string[] }>;
  /**
   * One job on the host: from the first stop to healthy, or back. Where the host lost it (it restarted), the host's record
   * decides. Throws `verification-failed` where all is as it was before.
   */
  applyRestore(input: RestoreInput): Promise<RestoreRecord>;
  /** Goes back, from wherever it is; repeated it does nothing more. */
  undoRestore(input: RestoreInput): Promise<void>;
  lookAtRestore(input: { readonly host: string; readonly restore: string }): Promise<RestoreRecord>;
  /** What an undo of it would do. */
  planUndoOfRestore(input: {
    readonly host: string;
    readonly restore: string;
  }): Promise<{ readonly call: string; readonly stops: readonly string[] }>;
  /** Removes what restores replaced that are older than is promised. */
  forgetRestores(input: {
    readonly host: string;
    readonly restores: readonly string[];
    readonly fence: number;
  }): Promise<void>;
}

export function createRestoreActivities({ hosts }: { readonly hosts: Hosts }): RestoreActivities {
  const look = async ({
    host,
    restore,
  }: {
    readonly host: string;
    readonly restore: string;
  }): Promise<RestoreRecord> => {
    const record = await hosts
      .get(host)
      .run(restoreState, { restore }, { signal: Context.current().cancellationSignal });
    return {
      state: record.state,
      ...(record.why !== undefined && { why: record.why }),
      units: record.units ?? 0,
      folders: record.folder,
      aside: record.aside,
      isForgotten: record.forgotten,
    };
  };

  return {
    lookAtRestore: look,

    async lookForRestore(choice) {
      const { host: name, backup, what, selection } = choice;
      const options = { signal: Context.current().cancellationSignal };
      const args = { backup, 'scope-or-undo': what, selection: selected(selection) } as const;
      const said = await withHeartbeat(() => hosts.get(name).run(lookForRestore, args, options));
      const { archive, home, fingerprint } = said;
      if (archive === undefined || home === undefined || fingerprint === undefined) {
        throw new ServiceError({
          code: 'unexpected-answer',
          message: `${name} did not say what the archive ${backup} is`,
          remedy: `Run: npx proxmox-mcp host install ${name}`,
        });
      }
      const [file, bytes, sha256] = archive;
      const of = (how: 'new' | 'replace') => said.unit.filter((one) => one.how === how).map(({ path }) => path);
      return {
        home,
        isOtherMachine: said['other-machine'],
        archive: { name: file, bytes, sha256 },
        isRead: said.digest === 'whole',
        created: of('new'),
        replaced: of('replace'),
        same: said.unit.filter(({ how }) => how === 'same').length,
        folders: said.tree,
        names: { comes: said.comes, changes: said.changes, goes: said.goes },
        newVolumes: said.volume,
        space: said.space,
        stops: said.stops,
        touches: said.touches,
        left: said.left,
        differences: differencesOf(said.version, said.here),
        problems: said.problem,
        old: said.old,
        fingerprint,
      };
    },

    async planRestore({ host, restore, backup, sha256, what, selection }) {
      const { config } = hosts.get(host);
      const args = { restore, backup, sha256, scope: what, selection: selected(selection) };
      return {
        stage: callLine(config, stageRestore, args),
        apply: callLine(config, applyRestore, { restore }),
        undo: callLine(config, undoRestore, { restore }),
      };
    },

    async stageRestore({ host, restore, backup, sha256, what, selection, fence }) {
      const args = { restore, backup, sha256, scope: what, selection: selected(selection) };
      const { lost } = await runJob(hosts.get(host), stageRestore, args, { step: 'stage', fence: { host: fence } });
      return { lost };
    },

    async applyRestore({ host: name, restore, fence }) {
      const host = hosts.get(name);
      try {
        await runJob(host, applyRestore, { restore }, { step: 'apply', once: true, fence: { host: fence } });
      } catch (error) {
        if (!(error instanceof ServiceError) || error.code !== 'outcome-unknown') throw error;
      }
      const record = await look({ host: name, restore });
      if (record.state === 'kept') return record;
      throw new ServiceError({
        code: 'verification-failed',
        message: `${restore} on ${name} is ${record.state}, not kept${record.why === undefined ? '' : `: ${record.why}`}`,
        remedy: 'It is undone by itself. Look at the cause named above on the host, then restore again.',
        details: { host: name },
      });
    },

    async undoRestore({ host: name, restore, fence }) {
      const host = hosts.get(name);
      // What still works on it would put in its place what this takes back.
      await withHeartbeat(() =>
        stopJobs(host, { fence: { host: fence } }, (id) => id === jobOf('stage') || id === jobOf('apply'), [
          jobOf('stage'),
          jobOf('apply'),
        ]),
      );
      await withHeartbeat(() =>
        repeatable(() => host.run(undoRestore, { restore }, { fence: { host: fence }, run: currentRun() })),
      );
    },

    async planUndoOfRestore({ host, restore }) {
      // Its id stands for the archive's, which an undo doesn't need.
      const args = { backup: 'daily-backup-00000000-000000', 'scope-or-undo': 'undo', selection: restore } as const;
      const { stops } = await hosts
        .get(host)
        .run(lookForRestore, args, { signal: Context.current().cancellationSignal });
      return { call: callLine(hosts.get(host).config, undoRestore, { restore }), stops };
    },

    async forgetRestores({ host, restores, fence }) {
      await withHeartbeat(async () => {
        for (const restore of restores)
          await repeatable(() => hosts.get(host).run(forgetRestore, { restore }, { fence: { host: fence } }));
      });
    },
  };
}

function selected(selection: readonly string[]): string {
  return selection.length === 0 ? 'all' : selection.map((one) => one.replace(/^\//, '').replaceAll('/', ':')).join('=');
}

/** Versions of the archive's host and of this one that are other ones: `pve-manager was 8.4.1, and is 9.1.7`. */
function differencesOf(
  was: readonly (readonly [string, string])[],
  here: readonly (readonly [string, string])[],
): readonly string[] {
  const now = new Map(here);
  return was.flatMap(([name, value]) => {
    const is = now.get(name);
    if (is === value) return [];
    if (is !== undefined) return [`${name} was ${value}, and is ${is}`];
    return name === 'pve-manager' ? [`${name} was ${value}, and is not installed`] : [];
  });
}
