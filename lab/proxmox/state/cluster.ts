export interface ReplicationJob {
  readonly id: string;
  readonly guest: number;
  readonly target: string;
  schedule: string;
  rate?: number;
  comment?: string;
  disabled?: boolean;
  /** Unix seconds. */
  lastSync?: number;
  lastTry?: number;
  failCount?: number;
  /** Why it failed last; a test sets it to make every run fail so. */
  error?: string;
  readonly log: string[];
}

/** Where guests that the HA stack manages may or should run. */
export type HaRule = Record<string, string | number> & { rule: string; type: string };

/** A backup that is made by a schedule, as it was sent. */
export type BackupJob = Record<string, string | number> & { id: string };

export interface ClusterLogEntry {
  readonly time: number;
  readonly node: string;
  readonly user: string;
  readonly tag: string;
  readonly msg: string;
}

export interface ClusterConfiguration {
  /** `datacenter.cfg` */
  readonly options: Record<string, string | number>;
  readonly haRules: Map<string, HaRule>;
  /** The node that decides for the HA stack. Default: the one that is asked. */
  haMaster?: string;
  readonly replication: Map<string, ReplicationJob>;
  readonly backupJobs: Map<string, BackupJob>;
  /** Oldest first. */
  readonly log: ClusterLogEntry[];
}

export function createClusterConfiguration(): ClusterConfiguration {
  return {
    options: { mac_prefix: 'BC:24:11' },
    haRules: new Map(),
    replication: new Map(),
    backupJobs: new Map(),
    log: [],
  };
}
