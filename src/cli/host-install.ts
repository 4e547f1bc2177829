import { type Command, Option } from 'commander';
import type { LoadedConfig } from '../config/load.ts';
import type { HostConfig, ProxmoxApiConfig } from '../config.ts';
import { defaultRevertAfterSeconds } from '../hosts/install/options.ts';
import type { Finding } from '../operations/finding.ts';
import { wideRights } from '../operations/rights.ts';
import { findingLines } from '../reports/text.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import type { AccessOptions } from './host-api.ts';
import { type AgreeOptions, askToAgree, type LoginOptions, reach, withLogin } from './host-login.ts';
import { expiry, whole } from './parse.ts';
import { note, print, printJson } from './terminal.ts';

interface InstallCommandOptions extends AccessOptions {
  readonly from?: string;
  readonly api?: 'yes' | 'no';
  readonly revertAfter: number;
}

/** The options that say what the service may do by the Proxmox API. */
export function withAccess(command: Command): Command {
  return command
    .option(
      '--changes',
      'Proxmox API: let operations start, stop and change guests, too (default: as it is; at first no)',
    )
    .option('--read-only', 'Proxmox API: let them look and change nothing')
    .option(
      '--read-token',
      'Proxmox API: also make a second token that only reads, so that the MCP server needs no other (with --changes it is made anyway)',
    )
    .addOption(
      new Option(
        '--allow <rights...>',
        'Proxmox API: with --changes, also rights that reach far and are given only when named',
      ).choices(Object.keys(wideRights)),
    )
    .option(
      '--expires <when>',
      'Proxmox API: when the token expires: 90d, 1y, 2027-11-26, never (default: a year after it is made)',
      expiry('--expires'),
    );
}

/** `host install|uninstall|check`, registered below `host`. */
export function hostInstallCommands(host: Command, context: CliContext): void {
  withAccess(withLogin(host.command('install <name>')))
    .summary("Put the service's user, key, helper and policy of sudo on a host")
    .description(
      "Put the service's user, key, helper and policy of sudo on a host, over an administrator's own SSH login. Shows its plan and asks. The host reverts everything by itself unless new connections prove in time that the service and the administrator can log in. Run it again after an update of Proxmox MCP. Of a host that is reached by its API alone, only its access there: asks for an administrator's sign-in.",
    )
    .option('--from <addresses>', "Addresses the service's key may be used from, with commas between; '*': anywhere")
    .addOption(
      new Option(
        '--api <yes|no>',
        'Whether a user, a reading role and a token for its Proxmox API are made too (default: where it has one, and none is configured)',
      ).choices(['yes', 'no']),
    )
    .option('--yes', "Don't ask")
    .option('--dry-run', 'Show the plan and change nothing')
    .option(
      '--revert-after <seconds>',
      'How long the host waits for the proof',
      whole('--revert-after', 3, 600),
      defaultRevertAfterSeconds,
    )
    .action(async (name: string, options: LoginOptions & AgreeOptions & InstallCommandOptions) => {
      const [{ install }, { accessWanted, planApi }, { nextAfterInstalling }] = await Promise.all([
        import('../hosts/install/install.ts'),
        import('./host-api.ts'),
        import('./host-next.ts'),
      ]);
      const loaded = context.inspect();
      const wanted = accessWanted(options, loaded.config);
      const byApi = apiHostOf(loaded, name);
      if (byApi !== undefined) {
        const { makeBySignIn } = await import('./host-sign-in.ts');
        const outcome = await makeBySignIn(await withLog(loaded, byApi), wanted, {
          ...signInOptions(options),
          expected: undefined,
        });
        if (outcome === 'nothing-to-do') print(`${name} is as it should be: nothing to do.`);
        if (outcome !== 'made') return;
        const state = { configured: true, isHere: false };
        for (const line of await nextAfterInstalling(name, loaded.config, state)) note(line);
        return;
      }
      const { config, ...access } = await reach(context, name, options);
      const api = await planApi(loaded, config, access, options.api, wanted);
      const agree = askToAgree(`install on ${name}`, options);
      const interruption = explainInterruption(name, options.revertAfter);
      const outcome = await install(config, {
        ...access,
        ...(options.from !== undefined && { from: options.from }),
        revertAfterSeconds: options.revertAfter,
        agree: (plan) => agree([...plan, ...api.lines]),
        progress: (step) => {
          interruption.begun(step);
          note(`· ${step}`);
        },
      }).finally(interruption.dispose);
      if (outcome === 'declined') return;
      const { pinSealOf } = await import('./host-seal.ts');
      await pinSealOf(config, { dataDir: loaded.config.dataDir, access, agree, isNew: outcome === 'installed' });
      if (outcome === 'installed') print(`Installed on ${name}, and verified over new connections.`);
      else if (api.lines.length === 0) print(`${name} is as it should be: nothing to do.`);
      else if (!(await agree(api.lines))) return;
      await api.carryOut();
      const state = { configured: api.lines.length > 0, isHere: access.login === undefined };
      for (const line of await nextAfterInstalling(name, loaded.config, state)) note(line);
    });

  withLogin(host.command('uninstall <name>'))
    .summary('Take everything of the service off a host')
    .description(
      'Take the policy, user, key, helper, folders and logs of the service off a host. A user or folder that was there before stays, as it was then. Backups stay unless --remove-backups. Refused while jobs run.',
    )
    .option('--remove-backups', 'Also remove the backups on the host')
    .option('--keep-logs', "Keep sudo's log and recordings of what the service did")
    .option('--yes', "Don't ask")
    .option('--dry-run', 'Show the plan and change nothing')
    .action(
      async (name: string, options: LoginOptions & AgreeOptions & { removeBackups?: boolean; keepLogs?: boolean }) => {
        const [{ uninstall }, { planApiRemoval }] = await Promise.all([
          import('../hosts/install/uninstall.ts'),
          import('./host-api.ts'),
        ]);
        const loaded = context.inspect();
        const byApi = apiHostOf(loaded, name);
        if (byApi !== undefined) {
          const { removeBySignIn } = await import('./host-sign-in.ts');
          const outcome = await removeBySignIn(await withLog(loaded, byApi), signInOptions(options));
          if (outcome === 'made') print(`Uninstalled from ${name}.`);
          return;
        }
        const { config, ...access } = await reach(context, name, options);
        const api = await planApiRemoval(loaded, config, access);
        const agree = askToAgree(`uninstall on ${name}`, options);
        const outcome = await uninstall(config, {
          ...access,
          removeBackups: options.removeBackups ?? false,
          keepLogs: options.keepLogs ?? false,
          agree: (plan) => agree([...plan, ...api.lines]),
        });
        if (outcome === 'declined') return;
        if (outcome === 'nothing-to-do') {
          if (api.lines.length === 0) return print(`There is nothing of the service on ${name}.`);
          if (!(await agree(api.lines))) return;
        }
        await api.carryOut();
        print(`Uninstalled from ${name}.`);
      },
    );

  withLogin(host.command('check <name>'))
    .summary('Find what differs on a host from what host install put there')
    .description(
      'Find what differs on a host from what host install put there: user, key, helper, policy, folders and their modes. Says beside where changes are stopped there, or its lists of who may sign need a look. Changes nothing. Exit code 1 when something differs.',
    )
    .option('--json', 'Print it as JSON')
    .action(async (name: string, options: LoginOptions & { json?: boolean }) => {
      const { checkInstallation } = await import('../hosts/install/check.ts');
      const { config, ...access } = await reach(context, name, options);
      const findings = await checkInstallation(config, access);
      const healthy = findings.length === 0;
      // By the service's own login, as its helper says it.
      const control = healthy ? await changeControlOf(config) : [];
      if (options.json) printJson({ host: name, healthy, findings, control });
      else if (healthy) print(`${name} is as it should be.`);
      else {
        const lines = findings.flatMap((finding) => findingLines(finding));
        print([`${name} differs from what host install put there:`, ...lines].join('\n'));
      }
      const telling = control.filter(({ verdict }) => verdict !== 'ok');
      if (!options.json && telling.length > 0) print(telling.flatMap((finding) => findingLines(finding)).join('\n'));
      if (!healthy) context.exitWith(exitCodes.failed);
    });
}

type OnlyApi = HostConfig & { readonly api: ProxmoxApiConfig };

/** A configured host that is reached by its API alone. */
function apiHostOf(loaded: LoadedConfig, name: string): OnlyApi | undefined {
  const host = loaded.config.hosts.find((one) => one.name === name);
  return host?.api !== undefined && host.ssh === undefined && host.local === undefined
    ? { ...host, api: host.api }
    : undefined;
}

async function withLog(loaded: LoadedConfig, host: OnlyApi) {
  const { createLogger } = await import('../logger.ts');
  const log = createLogger({ level: loaded.config.logLevel, name: 'cli' });
  return { loaded, name: host.name, address: host.api, host, log };
}

/** `--as` names an administrator of Proxmox VE here, whose realm is told. */
function signInOptions({ as, yes, dryRun }: LoginOptions & AgreeOptions) {
  return {
    as: as.includes('@') ? as : undefined,
    ...(yes !== undefined && { yes }),
    ...(dryRun !== undefined && { dryRun }),
  };
}

/** Whether changes are stopped on the host, and who may sign there. */
async function changeControlOf(host: HostConfig): Promise<readonly Finding[]> {
  const [{ createHosts }, { executorOf }, { createLogger }, control] = await Promise.all([
    import('../hosts/create-hosts.ts'),
    import('../hosts/connect-hosts.ts'),
    import('../logger.ts'),
    import('../hosts/change-control.ts'),
  ]);
  const log = createLogger({ level: 'error', name: 'cli' });
  const hosts = createHosts({ hosts: [host], executorFor: (one) => executorOf(one, log) });
  try {
    const options = { signal: AbortSignal.timeout(20_000) };
    return control.judgeChangeControl(host, await control.lookAtChangeControl(hosts.get(host.name), options));
  } catch (error) {
    return [control.notFoundOut('Changes', error)];
  } finally {
    await hosts.close();
  }
}

/** Ctrl-C in the middle of an installation looks like damage; the host reverts it by itself, and a person must know that. */
function explainInterruption(name: string, revertAfter: number) {
  let doing = '';
  const say = () => {
    const isApt = doing.includes('the package sudo');
    note(
      isApt
        ? `\nInterrupted. apt-get on ${name} goes on to its end; nothing else was changed there.\nSee what is there: npx proxmox-mcp host install ${name} --dry-run`
        : doing !== ''
          ? `\nInterrupted. Soon after ${revertAfter} s ${name} puts back by itself what was changed.\nSee that nothing is left: npx proxmox-mcp host check ${name}`
          : '\nInterrupted. Nothing was changed on the host.',
    );
    process.exit(exitCodes.interrupted);
  };
  process.once('SIGINT', say);
  return {
    begun: (step: string) => {
      doing = step;
    },
    dispose: () => void process.off('SIGINT', say),
  };
}
