import { setTimeout as sleep } from 'node:timers/promises';
import { urlHost } from '../../address.ts';
import type { HostConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import { proxmoxFacts, proxmoxServices } from '../../hosts/commands/check-health/proxmox.ts';
import { hostAnswers } from '../../hosts/commands/check-health/upkeep.ts';
import { describeHelper, reinstall } from '../../hosts/helper/state.ts';
import type { Host, Hosts, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import type { ProxmoxApis } from '../../proxmox/connect.ts';
import { missingForHealth } from '../../proxmox/rights.ts';
import { tokenExpiry } from '../../proxmox/token-expiry.ts';
import { cleanLine } from '../../reports/clean.ts';
import { type Ways, waysOf } from '../lib/proxmox-reader.ts';
import { finding, isOfTheCommand } from './finding.ts';
import { isInstalled } from './installation.ts';
import { reachMs, retryReachMs } from './limits.ts';

/** What came of asking a host whether it is there. */
export interface Reached {
  readonly findings: readonly Finding[];
  /** By which ways it answers now. Neither: it is away. */
  readonly ways: Ways;
  readonly hasProxmox: boolean;
  /** Whether root's part is done there by our helper. */
  readonly hasHelper: boolean;
  /** Whether there is an installation, for what concerns nothing else. */
  readonly isInstalled: boolean;
}

/**
 * Asks a host whether it is there, by each of its ways at once, and says in one line if it isn't: within about twelve
 * seconds, a quick second try included, whichever way it is away.
 */
export async function reachHost(
  { hosts, proxmox }: { readonly hosts: Hosts; readonly proxmox: ProxmoxApis },
  name: string,
  { signal }: RunOptions,
): Promise<Reached> {
  const config = proxmox.hosts.find((one) => one.name === name);
  const ways = waysOf(proxmox, name);
  const deadline = AbortSignal.any([...(signal ? [signal] : []), AbortSignal.timeout(reachMs)]);
  const [ofCommands, ofApi] = await Promise.all([
    ways.commands ? byCommands(hosts.get(name), deadline) : undefined,
    ways.api ? byApi(proxmox, name, deadline) : undefined,
  ]);
  signal?.throwIfAborted();
  const answers = {
    commands: ofCommands?.error === undefined && ways.commands,
    api: ofApi?.error === undefined && ways.api,
  };
  const facts = ofCommands?.facts;
  // Lists that an API token may not see are empty, and nothing says so: commands see all of them.
  const isBlind = ofApi?.lacksRights === true && facts !== undefined && facts.helper === undefined;
  return {
    findings: findingsOf(name, config, ofCommands, ofApi),
    ways: { ...answers, api: answers.api && !isBlind },
    hasProxmox: answers.api || facts?.hasProxmox === true,
    hasHelper: facts !== undefined && facts.helper === undefined,
    isInstalled: facts?.isInstalled === true,
  };
}

interface Facts {
  readonly hasProxmox: boolean;
  /** Why root's part can't be done there; undefined: it can. */
  readonly helper: ServiceError | undefined;
  /** What is wrong with a helper that can still look; undefined: nothing. */
  readonly differs: string | undefined;
  readonly isInstalled: boolean;
}

interface ByCommands {
  readonly error?: ServiceError;
  readonly facts?: Facts;
}

async function byCommands(host: Host, signal: AbortSignal): Promise<ByCommands> {
  const begun = performance.now();
  for (let attempt = 1; ; attempt += 1) {
    try {
      await host.run(hostAnswers, {}, { signal });
      return { facts: await factsOf(host, { signal }) };
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const isQuick = attempt === 1 && error.retryable && performance.now() - begun < retryReachMs;
      if (!isQuick) return { error };
      await sleep(1_000);
    }
  }
}

/** What a host that answers is. Something of it that doesn't answer in this time is told where it is looked at. */
async function factsOf(host: Host, options: RunOptions): Promise<Facts> {
  const [helper, differs, units, installed] = await Promise.all([
    host.jobs(options).then(() => undefined, asError),
    host.helper(options).then(
      (state) => describeHelper(host.config, state),
      () => undefined,
    ),
    host.run(proxmoxServices, {}, options).catch(() => []),
    isInstalled(host, options).catch(() => true),
  ]);
  const hasUnits = units.some(({ name, isThere }) => isThere && name.startsWith('pve'));
  const asks = !hasUnits && helper === undefined;
  const said = asks ? await host.run(proxmoxFacts, { fact: 'version' }, options).catch(() => undefined) : undefined;
  return { hasProxmox: hasUnits || said?.proxmox === 'there', helper, differs, isInstalled: installed };
}

/** What is only slow isn't wrong: it shows where it is looked at. */
function asError(error: unknown): ServiceError | undefined {
  if (error instanceof ServiceError && (error.code === 'timeout' || error.code === 'cancelled')) return undefined;
  if (isOfTheCommand(error)) return error;
  throw error;
}

/** Who never runs doctor hears of it, too, before everything that goes by the API stops. */
async function expiresSoon(proxmox: ProxmoxApis, name: string, signal: AbortSignal): Promise<readonly Finding[]> {
  const api = proxmox.hosts.find((one) => one.name === name)?.api;
  // Where its rights don't show its end nothing is said of it.
  await proxmox.learn(name, { signal, timeoutMs: reachMs }).catch(() => undefined);
  const expires = proxmox.learnt(name)?.tokenExpires;
  if (api === undefined || expires === undefined) return [];
  const { state, says, remedy } = tokenExpiry(name, api, expires);
  return state === 'lasts' ? [] : [finding('API token', 'warning', `${proxmox.get(name).token} ${says}.`, { remedy })];
}

interface ByApi {
  readonly error?: ServiceError;
  readonly lacksRights?: boolean;
  readonly findings: readonly Finding[];
}

async function byApi(proxmox: ProxmoxApis, name: string, signal: AbortSignal): Promise<ByApi> {
  const check = 'Proxmox API';
  const api = proxmox.hosts.find((one) => one.name === name)?.api;
  try {
    const { version } = await proxmox.get(name).version({ signal, timeoutMs: reachMs, ownNodeOnly: true });
    const missing = await missingForHealth(proxmox, name, { signal, timeoutMs: reachMs });
    if (missing.length === 0) {
      const answers = finding(check, 'ok', `It answers (Proxmox VE ${cleanLine(version, 40)}).`);
      return { findings: [answers, ...(await expiresSoon(proxmox, name, signal))] };
    }
    const rights = missing.map(({ privilege, path }) => `${privilege} on ${path}`).join(', ');
    return {
      lacksRights: true,
      findings: [
        finding(
          check,
          'warning',
          `The API token ${proxmox.get(name).token} may not see all that is looked at: it lacks ${rights}.`,
          {
            remedy: `Give it the role PVEAuditor on / (pveum acl modify / --tokens '${proxmox.get(name).token}' --roles PVEAuditor); an API token with privilege separation needs it besides its user.`,
          },
        ),
      ],
    };
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return {
      error,
      findings: [
        finding(check, 'failed', `The Proxmox API of ${name} can't be used: ${apiCause(error, api)}.`, {
          remedy: error.remedy,
          evidence: error.message,
        }),
      ],
    };
  }
}

/** One line of a host that is away; of one that answers, how, and what of it doesn't. */
function findingsOf(
  name: string,
  config: HostConfig | undefined,
  commands: ByCommands | undefined,
  api: ByApi | undefined,
): readonly Finding[] {
  const check = 'Answer';
  if (commands?.error !== undefined) {
    const { error } = commands;
    const cause = wayCause(error, config);
    if (api === undefined)
      return [
        finding(check, 'failed', `${name} does not answer: ${cause}.`, {
          remedy: error.remedy,
          evidence: error.message,
        }),
      ];
    if (api.error === undefined) {
      const summary = `${name} does not answer over ${config?.local ? 'local execution' : 'SSH'}, but its Proxmox API does: ${cause}.`;
      return [finding(check, 'failed', summary, { remedy: error.remedy, evidence: error.message }), ...api.findings];
    }
    const evidence = `${error.message}\n${api.error.message}`;
    return [finding(check, 'failed', `${name} does not answer: ${cause}.`, { remedy: error.remedy, evidence })];
  }
  if (commands === undefined) {
    if (api?.error === undefined) return [finding(check, 'ok', 'Its Proxmox API answers.'), ...(api?.findings ?? [])];
    const { error } = api;
    const summary = `${name} does not answer: ${apiCause(error, config?.api)}.`;
    return [finding(check, 'failed', summary, { remedy: error.remedy, evidence: error.message })];
  }
  return [
    finding(check, 'ok', config?.ssh ? 'It answers over SSH.' : 'It answers.'),
    ...judgeHelper(name, commands.facts),
    ...(api?.findings ?? []),
  ];
}

/** What keeps root's part from being looked at, or only from being changed. */
function judgeHelper(name: string, facts: Facts | undefined): readonly Finding[] {
  const remedy = reinstall({ name });
  if (facts?.helper !== undefined) {
    const why = cleanLine(facts.helper.message, 300);
    return [finding('Helper', 'failed', `Nothing can be looked at as root on ${name}: ${why}.`, { remedy })];
  }
  if (facts?.differs === undefined) return [];
  return [finding('Helper', 'failed', `${facts.differs}, so nothing can be changed there.`, { remedy })];
}

/** Why there is no way to a host by commands, as a clause. */
function wayCause(error: ServiceError, config: HostConfig | undefined): string {
  const { ssh } = config ?? {};
  const address = ssh === undefined ? 'it' : `${urlHost(ssh.host)}:${ssh.port}`;
  const { code: cause, level } = (error.cause ?? {}) as { readonly code?: unknown; readonly level?: unknown };
  switch (error.code) {
    case 'host-key-changed':
      return 'its SSH host key is not the pinned one';
    case 'host-key-unknown':
      return 'its SSH host key is not known here';
    case 'ssh-key-refused':
      return "it refuses the service's SSH key";
    case 'timeout':
    case 'cancelled':
      return `${address} says nothing`;
    case 'connection-lost':
      return `${address} says nothing any more`;
  }
  if (cause === 'ECONNREFUSED') return `nothing listens on ${address}`;
  if (cause === 'ENOTFOUND' || cause === 'EAI_AGAIN') return `the name ${ssh?.host} can't be resolved`;
  if (cause === 'EHOSTUNREACH' || cause === 'ENETUNREACH') return `there is no way to ${address} over the network`;
  if (cause === 'ETIMEDOUT' || level === 'client-timeout') return `${address} says nothing`;
  return cleanLine(error.message, 200).replace(/\.$/, '');
}

/** Why its API can't be used, as a clause. */
function apiCause(error: ServiceError, api: HostConfig['api']): string {
  const address = api === undefined ? 'it' : `${urlHost(api.host)}:${api.port}`;
  switch (error.code) {
    case 'timeout':
    case 'cancelled':
      return `${address} says nothing`;
    case 'proxmox-authentication':
      return 'it refuses the API token';
    case 'proxmox-certificate':
      return 'its certificate is not the trusted one';
  }
  if (error.details.cause === 'ECONNREFUSED') return `nothing listens on ${address}`;
  return cleanLine(error.message, 200).replace(/\.$/, '');
}
