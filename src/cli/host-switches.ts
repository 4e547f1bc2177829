import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import { stopWords } from '../hosts/change-control.ts';
import type { SwitchState } from '../hosts/commands/approve/switch.ts';
import type { Host } from '../hosts/host.ts';
import type { CliContext } from './context.ts';
import { note } from './terminal.ts';

/** How long a host may take to say whether changes are stopped there. */
const patienceMs = 15_000;

/** What a host says of its own switch. */
export interface HostSwitch {
  readonly host: string;
  readonly timeZone: string;
  /** Absent where it could not be asked. */
  readonly state?: SwitchState;
  /** Why it could not be asked, or not be lifted. */
  readonly error?: string;
  /** Who has signed that its changes go on, just now. */
  readonly liftedBy?: string;
}

/** Asks every host that is reached by commands, by the service's own login, each beside the others. */
export async function lookAtHosts(context: CliContext): Promise<readonly HostSwitch[]> {
  return await withHosts(await context.config(), (hosts) => Promise.all(hosts.map(askHost)));
}

/**
 * Asks every host; those where changes are stopped go on where `keyFile` is the key of one of their administrators: it
 * signs for each of them, one after the other, because each asks the person.
 */
export async function allowOnHosts(context: CliContext, keyFile: string | undefined): Promise<readonly HostSwitch[]> {
  return await withHosts(await context.config(), async (hosts) => {
    const found = await Promise.all(hosts.map(askHost));
    if (keyFile === undefined) return found;
    const lifted: HostSwitch[] = [];
    for (const [at, one] of found.entries()) {
      const host = hosts[at];
      lifted.push(host !== undefined && one.state?.on === true ? await lift(host, one, keyFile) : one);
    }
    return lifted;
  });
}

/** One line for each host. */
export function describeHosts(hosts: readonly HostSwitch[]): readonly string[] {
  return hosts.map(({ host, timeZone, state, error, liftedBy }) => {
    if (state === undefined) return `${host}: not known whether changes are stopped there: ${error}`;
    if (liftedBy !== undefined) return `${host}: changes go on, by the signature of ${liftedBy}`;
    if (!state.on) return `${host}: changes are allowed`;
    const stopped = `${host}: changes are stopped there ${stopWords(state, timeZone)}`;
    return error === undefined
      ? `${stopped}. To lift it: npx proxmox-mcp host allow-changes ${host}, or sign it: npx proxmox-mcp changes allow --reason WHY --sign KEYFILE`
      : `${stopped}. It was not lifted: ${error}`;
  });
}

async function withHosts<T>(config: Config, act: (hosts: readonly Host[]) => Promise<T>): Promise<T> {
  const [{ connectHosts }, { createLogger }, { createRedact }, { secretsOf }] = await Promise.all([
    import('../hosts/connect-hosts.ts'),
    import('../logger.ts'),
    import('../secret.ts'),
    import('../config/secrets.ts'),
  ]);
  const log = createLogger({ level: 'error', name: 'cli' });
  const hosts = connectHosts(config, { log, redact: createRedact(secretsOf(config)) });
  try {
    const byCommands = config.hosts.filter(({ ssh, local }) => (ssh ?? local) !== undefined);
    return await act(byCommands.map(({ name }) => hosts.get(name)));
  } finally {
    await hosts.close();
  }
}

async function askHost(host: Host): Promise<HostSwitch> {
  const { name, config } = host;
  const { switchState } = await import('../hosts/commands/approve/switch.ts');
  try {
    const state = await host.run(switchState, {}, { signal: AbortSignal.timeout(patienceMs) });
    return { host: name, timeZone: config.timeZone, state };
  } catch (error) {
    return { host: name, timeZone: config.timeZone, error: wordsOf(error) };
  }
}

async function lift(host: Host, found: HostSwitch, keyFile: string): Promise<HostSwitch> {
  const { host: identity = '', nonce = '' } = found.state ?? {};
  const byHand = `it can only be lifted by hand: npx proxmox-mcp host allow-changes ${host.name}`;
  if (identity === '') return { ...found, error: `the host has no identity to sign for, so that ${byHand}` };
  if (nonce === '') return { ...found, error: `its record of the stop is damaged, so that ${byHand}` };
  const [{ allowChanges }, { allowChangesText }, { signText }] = await Promise.all([
    import('../hosts/commands/approve/switch.ts'),
    import('../hosts/signed-plan.ts'),
    import('./sign.ts'),
  ]);
  const text = allowChangesText({ host: identity, nonce });
  note(`To let changes go on on ${host.name}, you sign:\n${text.trimEnd().replaceAll(/^/gm, '  ')}`);
  try {
    const { signer } = await host.run(allowChanges, {}, { input: await signText(text, keyFile) });
    const after = await askHost(host);
    // Without a signer nothing was there to lift any more.
    return { ...after, ...(signer !== undefined && after.state?.on === false && { liftedBy: signer }) };
  } catch (error) {
    return { ...found, error: wordsOf(error) };
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof ServiceError) return explain(error);
  throw error;
}
