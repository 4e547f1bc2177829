import { isLoopback } from '../address.ts';
import type { Config } from '../config.ts';
import { isAdministrator } from '../people/person.ts';
import { createPeople, peopleFile } from '../people/store.ts';
import { readableTime, relativeTime } from '../reports/units.ts';
import { runsUrl } from '../runs/runs-url.ts';
import type { ScheduleSummary } from '../runs/schedules.ts';
import { cacheFolder } from './paths.ts';

export interface SummaryFacts {
  /** The demo's. */
  readonly token?: string | undefined;
  readonly schedules: readonly ScheduleSummary[];
  /** Whether there is an administrator. Default: true. */
  readonly canApprove?: boolean;
  /** Whether Ctrl-C stops it: somebody sits before it. Default: true. */
  readonly atTerminal?: boolean;
}

/** What `start` says when all of it runs. Every command can be pasted as it is, in the project's folder. */
export function summary(
  config: Config,
  { token, schedules, canApprove = true, atTerminal = true }: SummaryFacts,
): string {
  const lines: readonly (readonly [name: string, text: string])[] = [
    ['Hosts', config.hosts.map(({ name }) => name).join(', ') || 'none'],
    ...nextLines(config, schedules).map((line, index) => [index === 0 ? 'Next' : '', line] as const),
    ['Reports', reportsGo(config)],
    ...(canApprove ? [] : [['Approvals', approvalsGo] as const]),
    ['Page', config.mcp.publicUrl],
    ['Temporal UI', runsUrl(config)],
    ['MCP', mcpUrl(config)],
    ...(token === undefined ? [] : [['Token', `${token} (the demo's)`] as const]),
    ...claudeLines(config, token).map((line, index) => [index === 0 ? 'Claude Code' : '', line] as const),
    ...trustLines(config).map((line, index) => [index === 0 ? 'Its CA' : '', line] as const),
    ['Data', `${config.dataDir} (runs, schedules, tokens; logs in logs/)`],
    ['Status', 'npx proxmox-mcp status'],
    ['Stop', `${atTerminal ? 'Ctrl-C, or ' : ''}npx proxmox-mcp stop; starting again goes on where this ended`],
    ['Remove', removeLine(config)],
  ];
  return ['', 'Proxmox MCP is running.', ...lines.map(([name, text]) => `  ${name.padEnd(13)}${text}`), ''].join('\n');
}

/**
 * How Claude Code learns of the server. On the service's own machine, where the command line is the project's, the line makes its
 * own token, which nobody has to copy; elsewhere it has a placeholder, and says what makes the token.
 *
 * @param environment says how the service was installed
 */
export function claudeLines(
  config: Config,
  token?: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): readonly string[] {
  if (token !== undefined) return [claudeLine(config, token)];
  const create = 'token create claude-code --scope operate';
  const isInstalled = environment.PROXMOX_MCP_DEPLOYMENT !== undefined;
  const isHere = isLoopback(new URL(config.mcp.publicUrl).hostname.replace(/^\[|\]$/g, ''));
  if (isHere && !isInstalled) return [claudeLine(config, `$(npx proxmox-mcp ${create})`)];
  return [
    claudeLine(config, 'TOKEN'),
    `TOKEN is what this prints on the service's machine: ${isInstalled ? 'sudo proxmox-mcp' : 'npx proxmox-mcp'} ${create}`,
  ];
}

export function claudeLine(config: Config, bearer: string): string {
  return `claude mcp add --transport http proxmox ${mcpUrl(config)} --header "Authorization: Bearer ${bearer}"`;
}

/** Caddy's address among the containers. */
const ownProxy = ({ networkPrefix }: { readonly networkPrefix: string }) => `${networkPrefix}.0.3`;

/** Where Caddy keeps the certificate of its own CA, in its container. */
const rootCertificate = '/data/caddy/pki/authorities/local/root.crt';

/** How Claude Code is made to trust Caddy's own CA; no lines where clients know the CA, or another proxy has the certificate. */
export function trustLines({ mcp, compose }: Config): readonly string[] {
  const { protocol, port, hostname } = new URL(mcp.publicUrl);
  const isCaddys =
    compose?.ownCa === true &&
    protocol === 'https:' &&
    Number(port || 443) === compose.httpsPort &&
    isLoopback(hostname) === isLoopback(compose.publishAddress) &&
    // Of a proxy in front, that one has the certificate.
    (hostname === compose.domain || mcp.trustedProxies?.every((one) => one === ownProxy(compose)) !== false);
  if (!isCaddys) return [];
  return [
    `docker cp mcp-reverse-proxy:${rootCertificate} proxmox-mcp-ca.crt`,
    "Take that file to Claude Code's machine, and start it there with: NODE_EXTRA_CA_CERTS=/path/to/proxmox-mcp-ca.crt claude",
  ];
}

export function mcpUrl({ mcp }: Config): string {
  return `${mcp.publicUrl}/api/mcp`;
}

/** Whether there is an administrator, who can approve; also where the file can't be read, about which `doctor` knows more. */
export function hasAdministrator({ accessDir }: Config): boolean {
  try {
    return createPeople(peopleFile(accessDir)).list().some(isAdministrator);
  } catch {
    return true;
  }
}

/** What approvals come to as long as there is no administrator. */
export const approvalsGo = 'by nobody yet; add yourself: npx proxmox-mcp people add NAME';

/** To whom the reports of scheduled runs go. */
export function reportsGo({ mail }: Config): string {
  if (mail) return `mailed to ${mail.to.join(', ')}`;
  return 'to nobody: no mail server is set up (SMTP_HOST, MAIL_FROM and MAIL_TO in .env)';
}

/** The next runs of each host: `pve1: check-health 2026-11-27 08:00:00 CET, in 3 h 2 min`. */
export function nextLines({ hosts }: Config, schedules: readonly ScheduleSummary[]): readonly string[] {
  const targets = [...new Set([...hosts.map(({ name }) => name), ...schedules.map(({ target }) => target)])];
  return targets.flatMap((target) => {
    const next = schedules
      .filter((one) => one.target === target && !one.paused)
      .flatMap(({ operation, timeZone, nextRuns: [at] }) => (at === undefined ? [] : [{ operation, timeZone, at }]))
      .sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
    const seen = new Set<string>();
    const first = next.filter(({ operation }) => !seen.has(operation) && seen.add(operation));
    if (first.length === 0) return [];
    return [
      `${target}: ${first.map(({ operation, timeZone, at }) => `${operation} ${readableTime(at, timeZone)}, ${relativeTime(at)}`).join('; ')}`,
    ];
  });
}

function removeLine(config: Config): string {
  const folders = `rm -rf ${quote(config.dataDir)} ${quote(cacheFolder())}`;
  if (config.demo) return `all that it made: ${folders}`;
  const hosts = config.hosts.map(({ name }) => `npx proxmox-mcp host uninstall ${name}`);
  return `each host first: ${hosts.join('; ')}; then: ${folders}`;
}

/** For a person's shell: only what needs quotes gets them. */
export function quote(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
