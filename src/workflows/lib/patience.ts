/** How long a scheduled change waits for a host that is away before its first step gives up: a reboot. 15 min. */
const patienceMs = 15 * 60_000;
/** Between two tries, each of which is some attempts itself. 20 s. */
const pauseMs = 20_000;

/** The host does not answer, whichever way it is away. */
const away: ReadonlySet<string> = new Set([
  'host-unreachable',
  'connection-lost',
  'outcome-unknown',
  'proxmox-unavailable',
  'timeout',
]);
/** What a host says while it starts: it lets nobody but root log in yet. */
const starting: ReadonlySet<string> = new Set([...away, 'ssh-key-refused', 'proxmox-authentication']);

/** How a run waits for a host that is away. */
export interface Patience {
  /** How long to wait before the next try, ms, and what to say meanwhile; undefined: give up. */
  next(code: string, now: number): { readonly waitMs: number; readonly message: string } | undefined;
}

/** One quarter of an hour per run, from when the host was first found away. */
export function createPatience(host: string): Patience {
  let until: number | undefined;
  return {
    next(code, now) {
      if (!(until === undefined ? away : starting).has(code)) return undefined;
      until ??= now + patienceMs;
      if (now >= until) return undefined;
      return {
        waitMs: Math.min(pauseMs, until - now),
        message: `${host} does not answer, trying again (waiting up to ${patienceMs / 60_000} min)`,
      };
    },
  };
}
