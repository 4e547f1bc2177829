/** Bounds of one host's pool. Times in milliseconds. */
export interface SshLimits {
  /** Channels open at once on one connection. sshd's own bound (`MaxSessions`) is 10. Default 5. */
  readonly channelsPerConnection: number;
  /** Default 4: 20 commands at once on one host. */
  readonly connections: number;
  /** From the first packet to the end of authentication. Default 10 s. */
  readonly connectMs: number;
  /** For the server's answer to "open a channel and run this". Default 10 s. */
  readonly channelMs: number;
  /** A connection without work is closed after this long. Default 60 s. */
  readonly idleMs: number;
  /** Default 10 s; a connection that leaves `keepaliveCount` of them unanswered is dead. */
  readonly keepaliveMs: number;
  /** Default 3. */
  readonly keepaliveCount: number;
  /** Between SIGTERM and SIGKILL, and between SIGKILL and giving up. Default 5 s. */
  readonly graceMs: number;
}

export const defaultLimits: SshLimits = {
  channelsPerConnection: 5,
  connections: 4,
  connectMs: 10_000,
  channelMs: 10_000,
  idleMs: 60_000,
  keepaliveMs: 10_000,
  keepaliveCount: 3,
  graceMs: 5_000,
};
