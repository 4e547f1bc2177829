/**
 * `UPID:node:pid:pstart:starttime:type:id:user:`, the three numbers in hexadecimal. A Proxmox Backup Server has a number more
 * before the time, and in an id there nearly all but letters and digits is escaped as systemd does it: a colon is `\x3a`, a
 * hyphen `\x2d`.
 */
export const upidPattern =
  /^UPID:([^:]+):([0-9A-F]{8}):([0-9A-F]{8,9}):(?:[0-9A-F]{8,16}:)?([0-9A-F]{8}):([^:]+):([^:]*):([^:]+):$/i;

/** What the id of a task says. */
export interface ParsedUpid {
  readonly node: string;
  /** When it was started, by the node's clock. Unix seconds. */
  readonly startedAt: number;
  /** `qmstart`, `vzdump` … */
  readonly type: string;
  /** What it works on; may be empty. */
  readonly id: string;
  /** Who started it: `user@realm`, or `user@realm!name` for an API token. */
  readonly user: string;
}

/** The parts of a UPID; undefined for anything else. */
export function parseUpid(upid: string): ParsedUpid | undefined {
  const [, node, , , started, type, id, user] = upidPattern.exec(upid) ?? [];
  if (!node || !started || !type || id === undefined || !user) return undefined;
  return { node, startedAt: Number.parseInt(started, 16), type, id, user };
}
