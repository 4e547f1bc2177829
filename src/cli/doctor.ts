import type { Command } from 'commander';
import { ServiceError } from '../errors.ts';
import { createLogger } from '../logger.ts';
import type { Verdict } from '../operations/finding.ts';
import type { CliContext } from './context.ts';
import { changeSwitchCheck } from './doctor/changes.ts';
import { describeFinding, runChecks } from './doctor/check.ts';
import { copiesChecks } from './doctor/copies.ts';
import { deploymentChecks } from './doctor/deployment.ts';
import { hostChecks } from './doctor/hosts.ts';
import { configurationChecks, machineChecks } from './doctor/machine.ts';
import { noticesCheck } from './doctor/notices.ts';
import { peopleChecks } from './doctor/people.ts';
import { policyChecks } from './doctor/policy.ts';
import { networkCheck, publicUrlCheck } from './doctor/public-url.ts';
import { restoredCheck } from './doctor/restored.ts';
import { serviceChecks } from './doctor/service.ts';
import { workerBuildsCheck } from './doctor/workers.ts';
import { exitCodes } from './exit-codes.ts';
import { whole } from './parse.ts';
import { print, printJson } from './terminal.ts';

/** `doctor`. */
export function doctorCommand(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .summary('Check everything the service depends on, and say what to do')
    .description(
      'Check everything the service depends on, side by side: configuration, policy, data folder, the installation (units, containers, ports, secrets), Temporal, MCP server and the proxies before it, worker, mail, kill switch, people, and of each host its key, its login, whether changes are stopped there and who may sign, its certificate, its API and the rights of its API token. Says what was tried, what was seen and what to do. Changes nothing; sends nothing. Exit code 1 when something failed.',
    )
    .option('--host <name>', 'Only the checks of this host')
    .option('--timeout <seconds>', 'Deadline of each check', whole('--timeout', 1, 300), 15)
    .option('--json', 'Print the findings as JSON')
    .action(async ({ host, timeout, json }: { host?: string; timeout: number; json?: boolean }) => {
      const loaded = context.inspect();
      const { config, problems, warnings, folder } = loaded;
      const general = [
        ...configurationChecks(folder, [...problems, ...warnings]),
        ...machineChecks(config),
        ...deploymentChecks(),
        ...policyChecks(loaded),
        ...serviceChecks(config),
        publicUrlCheck(config),
        ...networkCheck(config),
        noticesCheck(config),
        restoredCheck(config),
        changeSwitchCheck(config),
        workerBuildsCheck(config),
        ...peopleChecks(config),
        ...copiesChecks(config),
      ];
      const log = createLogger({ level: 'error', name: 'doctor' });
      const hosts = config.hosts.filter(({ name }) => host === undefined || name === host);
      if (host !== undefined && hosts.length === 0) {
        throw new ServiceError({
          code: 'invalid-input',
          message: `There is no host named ${host}`,
          remedy: `Use one of: ${config.hosts.map(({ name }) => name).join(', ') || 'none is configured'}.`,
        });
      }
      const checks = [...(host === undefined ? general : []), ...hosts.flatMap((one) => hostChecks(one, config, log))];
      const findings = await runChecks(checks, timeout * 1_000);
      const count = (verdict: Verdict) => findings.filter((one) => one.verdict === verdict).length;
      if (json) printJson({ healthy: count('failed') === 0, findings });
      else
        print(
          [
            ...findings.map(describeFinding),
            '',
            `${count('ok')} ok, ${count('warning') + count('unknown')} to look at, ${count('failed')} failed, ${count('skipped')} skipped.`,
          ].join('\n'),
        );
      if (count('failed') > 0) context.exitWith(exitCodes.failed);
    });
}
