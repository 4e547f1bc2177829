import { isLoopback } from '../address.ts';
import { cleanLine } from './clean.ts';

/** Where more of a report is to be seen. */
export interface RunReference {
  readonly id: string;
  /** Its page in the Temporal UI. */
  readonly url: string;
  /** Name of the machine on which the service runs. */
  readonly machine: string;
}

/** A {@link RunReference} in words. */
export interface RunWords {
  /** What to type for the whole report. */
  readonly command: string;
  /** The page, where other machines can open it. */
  readonly link?: string;
  /** How to get to a page that only its own machine can open. */
  readonly hint?: string;
}

/** A link that opens nothing where it is read would be worse than none: then it is said how the page is reached. */
export function describeRunReference({ id, url, machine }: RunReference): RunWords {
  const command = `npx proxmox-mcp runs get ${cleanLine(id, 300)}`;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) return { command };
  if (!isLoopback(parsed.hostname.replace(/^\[|\]$/g, ''))) return { command, link: parsed.href };
  const port = parsed.port || (parsed.protocol === 'https:' ? '443' : '80');
  const there = cleanLine(machine, 100);
  return {
    command,
    hint: `Its page is on ${there} alone. From another machine: ssh -L ${port}:${parsed.hostname}:${port} ${there}, then ${parsed.href}`,
  };
}
