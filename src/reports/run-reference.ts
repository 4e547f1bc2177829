import { isLoopback } from '../address.ts';
import { cleanLine } from './clean.ts';

/** Where more of a report is to be seen. */
export interface RunReference {
  readonly id: string;
  /** Its page in the Temporal UI. */
  readonly url: string;
  /** Its page on the console, where what it asks is answered. */
  readonly page?: string;
  /** Name of the machine on which the service runs. */
  readonly machine: string;
}

/** A {@link RunReference} in words. */
export interface RunWords {
  /** What to type for the whole report. */
  readonly command: string;
  /** Where it is read and answered, where other machines can open it. */
  readonly page?: string;
  /** The page in the Temporal UI, where other machines can open it. */
  readonly link?: string;
  /** How to get to a page that only its own machine can open. */
  readonly hint?: string;
}

/** A link that opens nothing where it is read would be worse than none: then it is said how the page is reached. */
export function describeRunReference({ id, url, page, machine }: RunReference): RunWords {
  const command = `npx proxmox-mcp runs get ${cleanLine(id, 300)}`;
  const there = cleanLine(machine, 100);
  const onConsole = page === undefined ? {} : reach(page, there);
  const inTemporal = reach(url, there);
  // The one leads to the other.
  const hint = onConsole.hint ?? (onConsole.link === undefined ? inTemporal.hint : undefined);
  return {
    command,
    ...(onConsole.link === undefined ? {} : { page: onConsole.link }),
    ...(inTemporal.link === undefined ? {} : { link: inTemporal.link }),
    ...(hint === undefined ? {} : { hint }),
  };
}

function reach(url: string, machine: string): Pick<RunWords, 'link' | 'hint'> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) return {};
  if (!isLoopback(parsed.hostname.replace(/^\[|\]$/g, ''))) return { link: parsed.href };
  const port = parsed.port || (parsed.protocol === 'https:' ? '443' : '80');
  return {
    hint: `Its page is on ${machine} alone. From another machine: ssh -L ${port}:${parsed.hostname}:${port} ${machine}, then ${parsed.href}`,
  };
}
