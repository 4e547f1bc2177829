import { verdict as anyVerdict } from '../../operations/finding.ts';
import { type Check, skipped } from './check.ts';

/** Of what install.sh has made: how the service runs there (`PROXMOX_MCP_DEPLOYMENT`). */
const kinds = {
  compose: 'Docker Compose',
  systemd: 'a unit of systemd',
  container: 'a container of a Proxmox VE host',
} as const;
type Kind = keyof typeof kinds;

/** How the service is started where this runs. */
export function startIt({ PROXMOX_MCP_DEPLOYMENT: kind }: Environment = process.env): string {
  return kind === undefined ? 'Start the service: npm start' : 'Start the service: systemctl start proxmox-mcp';
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the machine around this process knows of the installation: its unit and timer, containers and images, ports, secrets' modes.
 * A container can see none of that. The command that install.sh puts on the machine looks first (`deploy/host/checks.sh`) and
 * hands over a line for each finding: verdict, check, summary and remedy, with tabs between.
 */
export function deploymentChecks(environment: Environment = process.env): Check[] {
  const kind = environment.PROXMOX_MCP_DEPLOYMENT ?? '';
  if (!Object.hasOwn(kinds, kind)) return [];
  const findings = parseHostFindings(environment.PROXMOX_MCP_HOST_FINDINGS ?? '');
  if (findings.length > 0) return findings;
  return [
    {
      check: 'Installation',
      tried: `look at ${kinds[kind as Kind]} from the machine itself`,
      run: () => skipped('only root of the machine can look. Run there: sudo proxmox-mcp doctor'),
    },
  ];
}

/** @internal What isn't a finding is left out: no later line depends on it. */
export function parseHostFindings(text: string): Check[] {
  return text.split('\n').flatMap((line) => {
    const [word, check, summary, remedy = ''] = line.split('\t');
    const verdict = anyVerdict.safeParse(word).data;
    if (verdict === undefined || !check || !summary) return [];
    const tried = 'looked at by the machine’s own command, as root';
    return [{ check: `Machine: ${check}`, tried, run: () => ({ verdict, summary, ...(remedy && { remedy }) }) }];
  });
}
