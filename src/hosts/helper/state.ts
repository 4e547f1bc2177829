import type { HostConfig, HostLayout } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { cleanLine } from '../../reports/clean.ts';
import type { HelperState } from '../host.ts';
import { type HostContext, retryLook } from './call.ts';
import { generateHelper, statedLines } from './generate-helper.ts';

/** The root folder is no key's: it is another one only where this machine plays a host. */
const keyOf: Readonly<Record<Exclude<keyof HostLayout, 'hostRoot'>, string>> = {
  installation: 'INSTALLATION_DIR',
  backups: 'BACKUP_DIR',
  sudoersFile: 'SUDOERS_FILE',
  sshKeyFile: 'HOST_SSH_KEY_FILE',
  helper: 'HELPER_PATH',
  state: 'STATE_DIR',
  sudoLog: 'SUDO_LOG',
  authLog: 'AUTH_LOG',
  unit: 'SERVICE_UNIT',
  user: 'SERVICE_USER',
  containers: 'CONTAINERS',
  volumes: 'VOLUMES',
  backupPaths: 'BACKUP_PATHS',
  compression: 'BACKUP_COMPRESSION',
  healthUrl: 'HEALTH_URL',
  proxyUrl: 'PROXY_URL',
};

/** What doesn't change where a look looks. */
const besideLooks: ReadonlySet<string> = new Set<keyof HostLayout>(['containers', 'volumes', 'healthUrl', 'proxyUrl']);

/**
 * Reads what the helper on a host states of itself; as the service's user, who may read it, so that sudo needs no rule.
 * Throws what a connection throws.
 */
export async function lookAtHelper(
  { config, executor }: Pick<HostContext, 'config' | 'executor'>,
  options: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {},
): Promise<HelperState> {
  const { helper } = config.layout;
  const said = await executor
    .exec(['/usr/bin/env', 'LC_ALL=C', 'grep', '-E', '-m', '50', '^  readonly [A-Za-z_]+=', helper], {
      timeoutMs: options.timeoutMs ?? 30_000,
      ...(options.signal && { signal: options.signal }),
    })
    .catch((error: unknown) => {
      throw retryLook(config, error);
    });
  if (said.exitCode === 0) return compare(said.stdout, config.layout);
  return { kind: said.exitCode === 1 && said.stderr.trim() === '' ? 'foreign' : 'unknown' };
}

function compare(said: string, layout: HostLayout): HelperState {
  const there = statedIn(said);
  const here = statedIn(statedLines(generateHelper(layout)));
  const differences = (Object.keys(keyOf) as (keyof typeof keyOf)[]).flatMap((entry) => {
    const [inUse, wanted] = [there.get(entry), here.get(entry)];
    if (inUse === undefined || wanted === undefined || inUse === wanted) return [];
    return [{ entry, key: keyOf[entry], there: plain(inUse), here: plain(wanted) }];
  });
  if (differences.length > 0) return { kind: 'layout', differences };
  return { kind: there.get('_version') === here.get('_version') ? 'current' : 'version' };
}

/** The first value of each name: what scripts make later are not the helper's own. */
function statedIn(lines: string): ReadonlyMap<string, string> {
  const stated = new Map<string, string>();
  for (const [, name = '', value = ''] of lines.matchAll(/^ {2}readonly ([A-Za-z_]+)=(.*)$/gm)) {
    if (!stated.has(name)) stated.set(name, value);
  }
  return stated;
}

/** As it is written in a configuration, and whatever else a host may say made fit to be shown. */
function plain(value: string): string {
  return cleanLine(value.replace(/^'(.*)'$/, '$1'), 120) || 'none';
}

/** What is wrong with the helper of a host, as a sentence without its end; undefined where nothing is. */
export function describeHelper({ name, layout }: HostConfig, state: HelperState): string | undefined {
  switch (state.kind) {
    case 'current':
    case 'unknown':
      return undefined;
    case 'version':
      return `The helper on ${name} is of another version of this service`;
    case 'foreign':
      return `What is at ${layout.helper} on ${name} is not this service's helper`;
    case 'layout': {
      const named = state.differences
        .slice(0, 3)
        .map(({ key, there, here }) => `${key} is ${there} there, ${here} here`);
      const more = state.differences.length > 3 ? ` and ${state.differences.length - 3} more` : '';
      return `The helper on ${name} was installed with another configuration: ${named.join('; ')}${more}`;
    }
  }
}

/** What to do about it. */
export function reinstall({ name }: Pick<HostConfig, 'name'>): string {
  return `Run: npx proxmox-mcp host install ${name}. If .env was changed after the service was started, restart that first`;
}

/** How long a helper that was found to be current is taken to be so. */
const trustedMs = 60_000;

/**
 * Asks before the first command, and then once a minute while there are some, whether a host's helper is the one that is
 * meant: nothing is to be changed, nor looked at, in places that aren't the configured ones. Another version of it may look,
 * and refuses by itself what it doesn't know.
 */
export function createHelperCheck(context: Pick<HostContext, 'config' | 'executor'>) {
  let trustedUntil = 0;
  return async (isLook: boolean, signal?: AbortSignal): Promise<void> => {
    if (performance.now() < trustedUntil) return;
    const state = await lookAtHelper(context, signal ? { signal } : {});
    if (state.kind === 'current') trustedUntil = performance.now() + trustedMs;
    if (isLook && !isElsewhere(state)) return;
    const what = describeHelper(context.config, state);
    if (what === undefined) return;
    throw new ServiceError({
      code: 'helper-differs',
      message: `${what}; so nothing was done there`,
      remedy: reinstall(context.config),
      details: { host: context.config.name },
    });
  };
}

/** Whether a look would look at something else than is meant. */
function isElsewhere(state: HelperState): boolean {
  return state.kind === 'layout' && state.differences.some(({ entry }) => !besideLooks.has(entry));
}
