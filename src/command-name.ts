/**
 * How people call this program. Texts say it as it is in a copy of the sources; where install.sh has put it on a machine
 * (`PROXMOX_MCP_DEPLOYMENT`), there is no npx, and it is a command of root's.
 */
const installed = 'sudo proxmox-mcp';

/** `npm start` alone may be anybody's, as a command that somebody approves for a guest: only our own sentences are meant. */
const commands = /\bnpx proxmox-mcp\b|(?<=Start it: |Start the service with `?)npm start\b(?: -- --keep)?/g;

/**
 * The same with every command in it as it is called where this runs; of data every text. For where texts go out to people:
 * what is stored (runs, reports, the ledger) stays as it was said, and is never made with this.
 */
export function asCalledHere<T>(value: T, { PROXMOX_MCP_DEPLOYMENT: kind }: Environment = process.env): T {
  return kind === undefined ? value : (deep(value) as T);
}

type Environment = Readonly<Record<string, string | undefined>>;

function deep(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.replace(commands, (found) => (found.startsWith('npx') ? installed : `${installed} start`));
  }
  if (Array.isArray(value)) return value.map(deep);
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, deep(inner)]));
}
