import type { Secret } from './secret.ts';

/** Where things are on a host. The defaults are the administrator's guide's. */
export interface HostLayout {
  /** Default `/opt/proxmox-mcp`. */
  readonly installation: string;
  /** Default `/opt/proxmox-mcp-backups`. */
  readonly backups: string;
  /** Default `/etc/sudoers.d/claude-user`. */
  readonly sudoersFile: string;
  /** Default `/opt/proxmox-mcp/keys/claude_proxmox_key`. */
  readonly sshKeyFile: string;
  /** Root-owned program that executes the privilege table. Default `/usr/local/libexec/proxmox-mcp/helper`. */
  readonly helper: string;
  /** State of the helper: jobs, fence. Default `/var/lib/proxmox-mcp`. */
  readonly state: string;
  /** Default `/var/log/sudo-claude-user.log`. */
  readonly sudoLog: string;
  /** Default `/var/log/auth.log`. */
  readonly authLog: string;
  /** The service's systemd unit. Default `proxmox-mcp`. */
  readonly unit: string;
  /** The service's user. Default `claude-user`. */
  readonly user: string;
  /** Default `proxmox-mcp-server`, `mcp-reverse-proxy`. */
  readonly containers: readonly string[];
  /** Docker volumes in the daily backup. Default `mcp_logs`, `caddy_data`. */
  readonly volumes: readonly string[];
  /** Folders and files of the host's own that the backup holds beside what it always does. Default: none. */
  readonly backupPaths: readonly string[];
  /** What makes archives smaller. Default `gzip`. */
  readonly compression: 'gzip' | 'zstd';
  /**
   * What the host's own configuration is looked for below. Empty, except on the demo's host, which is a folder of this
   * machine.
   */
  readonly hostRoot: string;
  /** Default `http://localhost:8080/health`. */
  readonly healthUrl: string;
  /** Default `http://localhost:80`. */
  readonly proxyUrl: string;
}

export interface SshConfig {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly keyPath: string;
  /** OpenSSH known_hosts file that pins the host's key. Default `<dataDir>/known_hosts`. */
  readonly knownHostsPath: string;
}

export interface ProxmoxApiConfig {
  /** Default: a Proxmox VE's. */
  readonly product?: 'backup-server';
  readonly host: string;
  readonly port: number;
  /** `user@realm` */
  readonly user: string;
  readonly tokenName: string;
  readonly tokenValue: Secret;
  /** A second API token of the same user, which only reads. In the MCP server it is the one above, and the only one. */
  readonly readToken?: { readonly name: string; readonly value: Secret };
  /** How the server's certificate is trusted: the system's CAs, a CA file, or one pinned SHA-256 fingerprint. */
  readonly trust:
    | { readonly kind: 'system' }
    | { readonly kind: 'ca-file'; readonly path: string }
    /** Upper case with colons, as Node's `fingerprint256`. */
    | { readonly kind: 'fingerprint'; readonly sha256: string };
}

/** One managed host. At least one of `ssh`, `local`, `api` and `backupServer` is there. */
export interface HostConfig {
  readonly name: string;
  readonly ssh?: SshConfig;
  /** This machine, without SSH (`ENABLE_LOCAL_EXECUTION`). `sudo` says whether the helper is reached through sudo. */
  readonly local?: { readonly sudo: boolean };
  readonly api?: ProxmoxApiConfig;
  /** The API of a Proxmox Backup Server. */
  readonly backupServer?: ProxmoxApiConfig;
  readonly layout: HostLayout;
  /** Absent: no copy of its backups leaves it. */
  readonly copies?: {
    /** `age1…`, SSH public keys, and absolute paths of files of them. */
    readonly recipients: readonly string[];
    /** Who encrypts. */
    readonly encryption: 'host' | 'service';
  };
  /** Another worker serves it, and its keys may be missing here (`WORKER_HOSTS`). */
  readonly isElsewhere?: true;
  /** Its machine-id is another machine's too, so it doesn't tell that two names are one machine. */
  readonly sharesMachineId?: true;
  /** IANA name; schedules of this host are read in it. Default `UTC`. */
  readonly timeZone: string;
  /** Of each kind of backup which ones stay, as Proxmox writes it: `keep-last=3,keep-weekly=4`. Default: the guide's. */
  readonly keep?: { readonly daily?: string; readonly full?: string; readonly monthly?: string };
}

export interface MailConfig {
  readonly host: string;
  readonly port: number;
  /** `tls`: from the first byte; `starttls`: required; `none`: only to loopback. */
  readonly security: 'tls' | 'starttls' | 'none';
  readonly user?: string;
  readonly password?: Secret;
  readonly from: string;
  readonly to: readonly string[];
}

/** The deployment with Docker Compose. */
export interface ComposeConfig {
  /** The name of Caddy's certificate, where it isn't MCP_PUBLIC_URL's. */
  readonly domain?: string;
  /** The certificate is signed by Caddy's own CA, and by none that clients know. */
  readonly ownCa: boolean;
  /** Where Caddy's ports are published. */
  readonly publishAddress: string;
  readonly httpPort: number;
  readonly httpsPort: number;
  /** The first two numbers of the networks: `172.20`. */
  readonly networkPrefix: string;
}

/** Where spans go. */
export interface TracingConfig {
  /** Base URL of an OTLP/HTTP collector, no trailing slash; `/v1/traces` follows. */
  readonly endpoint: string;
  /** Sent with each request. */
  readonly headers: readonly { readonly name: string; readonly value: Secret }[];
}

/** How a Temporal server is reached through TLS. Absolute paths of PEM files, which are read when they are needed. */
export interface TemporalTls {
  /** Default: the system's CAs. */
  readonly caFile?: string;
  /** The client's own certificate and key. */
  readonly client?: { readonly certFile: string; readonly keyFile: string };
  /** Name that the server's certificate must be for. Default: the address's host. */
  readonly serverName?: string;
}

/** The whole configuration, validated. Made by `loadConfig` in `src/config/load.ts`. */
export interface Config {
  /** Absolute path; everything the service keeps on this machine is below it. */
  readonly dataDir: string;
  /** Absolute path of the folder of tokens and people. Default: `dataDir`. */
  readonly accessDir: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly temporal: {
    /** Given: use that server and start none. Else the service runs the dev server on `port`. */
    readonly address?: string;
    readonly namespace: string;
    /** Absent: no TLS. */
    readonly tls?: TemporalTls;
    readonly apiKey?: Secret;
    /** Where the API key was read from, and is read again. */
    readonly apiKeyFile?: string;
    /** Explicit path of the Temporal CLI binary. */
    readonly binary?: string;
    /** gRPC port of the server that the service starts. Default 7233. */
    readonly port: number;
    /** Default 8233. */
    readonly uiPort: number;
    /** Base URL of the Temporal UI for links, no trailing slash. */
    readonly uiUrl: string;
  };
  readonly mcp: {
    readonly host: string;
    readonly port: number;
    /** Host names (no port) accepted in Host and Origin, besides loopback's. */
    readonly allowedHosts: readonly string[];
    /** Base URL clients use (without `/api/mcp`), no trailing slash. */
    readonly publicUrl: string;
    /** Addresses and networks (CIDR) whose word on a client's address, scheme and host counts. Default: none. */
    readonly trustedProxies?: readonly string[];
  };
  /** What Docker Compose runs it with; undefined: it runs otherwise. */
  readonly compose?: ComposeConfig;
  readonly worker: {
    /** Of the worker's Prometheus metrics. Default 127.0.0.1. */
    readonly metricsHost: string;
    /** Port of the worker's Prometheus metrics. Default 9464. */
    readonly metricsPort: number;
    /** Whether this worker has the ledger: where it can, nothing else, not at all. */
    readonly ledger: 'auto' | 'only' | 'never';
    /** Whether it works under Temporal's worker versioning. */
    readonly versioning: boolean;
    /** What it calls its build. Default: its version and a digest of its workflows. */
    readonly buildId?: string;
    /** Workflow and activity slots. */
    readonly maxConcurrentActivitiesPerHost: number;
  };
  readonly hosts: readonly HostConfig[];
  /** The copies of backups, on the machine of the worker. */
  readonly copies: {
    /** Absolute path. Default `dataDir/copies`. */
    readonly folder: string;
    /** The service's own identity, absolute path. Absent: it can't decrypt them. */
    readonly identityFile?: string;
    /** `rclone:REMOTE:PATH`, `restic:REPOSITORY` */
    readonly remotes: readonly string[];
  };
  readonly serviceBackups: {
    /** As those of a host's copies. None: they aren't encrypted. */
    readonly recipients: readonly string[];
  };
  readonly mail?: MailConfig;
  /** Absent: nothing is traced. */
  readonly tracing?: TracingConfig;
  /** Known here only to be taken out of texts: Grafana itself uses it. */
  readonly grafanaPassword?: Secret;
  readonly webhooks: { readonly slack?: Secret; readonly discord?: Secret; readonly onCall?: Secret };
  /** What can do anything, or delete what can't be made again, may be asked for; it still needs an approval. */
  readonly dangerousCommands: boolean;
  /** Nothing was configured, or DEMO=true: `hosts` is empty and the service fills in its demo host. */
  readonly demo: boolean;
}
