import { z } from 'zod';
import { splitAddress } from '../../address.ts';
import type { Config } from '../../config.ts';
import { finding } from '../../operations/finding.ts';
import { readableList } from '../../reports/units.ts';
import { temporalEndpoint } from '../../runs/temporal-endpoint.ts';
import { tcp } from '../tcp.ts';
import { type Check, failed, ok, type Result, skipped, warning } from './check.ts';

const startIt = 'Start the service: npm start';

/** The service's own processes and what they depend on. */
export function serviceChecks(config: Config): Check[] {
  return [
    temporalServer(config),
    configurationInUse(config),
    schedules(config),
    mcpServer(config),
    workerMetrics(config),
    mailServer(config),
    ...webhooks(config),
  ];
}

function temporalServer(config: Config): Check {
  const { address, port, namespace } = config.temporal;
  const endpoint = temporalEndpoint(config);
  const where = address ?? `127.0.0.1:${port}`;
  return {
    check: 'Temporal server',
    tried: `connect to ${where} and ask for the namespace ${namespace}`,
    async run(signal) {
      const reached = await tcp(...splitAddress(where), signal);
      if (reached === 'ECONNREFUSED' && address === undefined) return skipped(`nothing runs on ${where}. ${startIt}`);
      if (reached !== undefined)
        return failed(`${where} can't be reached (${reached})`, 'Check TEMPORAL_ADDRESS and that the server runs.');
      const { connectTemporal } = await import('../../runs/temporal-client.ts');
      const client = await connectTemporal(config, 5_000);
      try {
        await client.withAbortSignal(signal, () => client.workflowService.describeNamespace({ namespace }));
        const { addAttributes, missingAttributes } = await import('../../service/temporal-namespace.ts');
        const missing = await client.withAbortSignal(signal, () => missingAttributes(client.connection, namespace));
        if (missing.length > 0) {
          return failed(
            `the namespace ${namespace} has no search attributes ${missing.join(', ')}, without which runs can't go on`,
            endpoint.isCloud
              ? `Run: ${addAttributes(endpoint, missing)}`
              : `Restart the service, which adds them. If its server refuses that: ${addAttributes(endpoint, missing)}`,
          );
        }
        return ok(`${where} answers, the namespace ${namespace} is there`);
      } catch (error) {
        return failed(
          `${where} answers, but not for the namespace ${namespace}`,
          'Create the namespace, or correct TEMPORAL_NAMESPACE.',
          error instanceof Error ? error.message : String(error),
        );
      } finally {
        await client.connection.close();
      }
    },
  };
}

/** Whether the running service has read what is in the files now. */
function configurationInUse(config: Config): Check {
  return {
    check: 'Configuration in use',
    tried: 'compare .env and hosts.yaml with what the running service has read of them',
    async run() {
      const [{ keysChangedSince }, { runningService }] = await Promise.all([
        import('../../service/status.ts'),
        import('../../service/record.ts'),
      ]);
      if (runningService(config) === undefined) return skipped(`the service doesn't run here. ${startIt}`);
      const changed = keysChangedSince(config);
      if (changed.length === 0) return ok('the running service has read what is there now');
      return failed(
        `the configuration has changed since the service was started (${readableList(changed)}): it runs with the old one`,
        'Restart the service: npx proxmox-mcp stop, then start it again.',
      );
    },
  };
}

function schedules(config: Config): Check {
  return {
    check: 'Schedules',
    tried: 'look at what the worker could not make of them',
    async run() {
      const { readRefusedSchedules } = await import('../../runs/refused-schedules.ts');
      const refused = Object.entries(readRefusedSchedules(config));
      if (refused.length === 0) return ok('the worker refused none');
      return failed(
        `the worker could not make ${refused.map(([id]) => id).join(', ')}`,
        'Correct what is named, and restart the service; the other schedules run.',
        refused.map(([id, reason]) => `${id}: ${reason}`).join('\n'),
      );
    },
  };
}

function mcpServer({ mcp: { host, port } }: Config): Check {
  const local = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const url = `http://${local.includes(':') ? `[${local}]` : local}:${port}/readyz`;
  return {
    check: 'MCP server',
    tried: `GET ${url}`,
    async run(signal): Promise<Result> {
      const reached = await tcp(local, port, signal);
      if (reached === 'ECONNREFUSED') return skipped(`nothing runs on port ${port}. ${startIt}`);
      if (reached !== undefined) return failed(`${local}:${port} can't be reached (${reached})`, 'Correct MCP_HOST.');
      const answer = await fetch(url, { signal }).catch(() => undefined);
      const body = readiness.safeParse(await answer?.json().catch(() => undefined)).data;
      if (answer === undefined || body === undefined) {
        return failed(`another program listens on port ${port}`, 'Stop it, or set another MCP_PORT.');
      }
      if (answer.ok) return ok(`ready at ${url}`);
      return failed(
        "it runs, but isn't ready",
        'Look at the other lines, and at logs/ in the data folder.',
        body.findings.map(({ check, summary, remedy = '' }) => `${check}: ${summary} ${remedy}`).join('\n'),
      );
    },
  };
}

const readiness = z.object({ ready: z.boolean(), findings: z.array(finding).catch([]) });

function workerMetrics({ worker: { metricsPort } }: Config): Check {
  const url = `http://127.0.0.1:${metricsPort}/metrics`;
  return {
    check: 'Worker',
    tried: `GET ${url}`,
    async run(signal) {
      const reached = await tcp('127.0.0.1', metricsPort, signal);
      if (reached !== undefined) return skipped(`nothing runs on port ${metricsPort}. ${startIt}`);
      const text = await fetch(url, { signal }).then(
        (answer) => answer.text(),
        () => '',
      );
      if (text.includes('temporal_')) return ok(`its metrics are at ${url}`);
      return failed(`another program listens on port ${metricsPort}`, 'Stop it, or set another WORKER_METRICS_PORT.');
    },
  };
}

function mailServer({ mail }: Config): Check {
  return {
    check: 'Mail',
    tried:
      mail === undefined
        ? 'look at SMTP_HOST'
        : `connect to ${mail.host}:${mail.port}, secure it (${mail.security}) and log in`,
    async run() {
      if (mail === undefined) return skipped('no mail server is set up (SMTP_HOST): nothing is mailed');
      const { createMailer } = await import('../../mail/mailer.ts');
      await createMailer(mail).verify();
      return ok(`${mail.host}:${mail.port} accepts mail for ${mail.to.join(', ')}`);
    },
  };
}

/** Only reached, never posted to: a test message would land in somebody's channel. */
function webhooks({ webhooks: { slack, discord, onCall } }: Config): Check[] {
  const targets = [['Slack', slack] as const, ['Discord', discord] as const, ['On call', onCall] as const];
  return targets.flatMap(([name, secret]) => {
    if (secret === undefined) return [];
    const { hostname, port, protocol } = new URL(secret.reveal());
    const number = Number(port) || (protocol === 'https:' ? 443 : 80);
    const run = async (signal: AbortSignal) => {
      const reached = await tcp(hostname, number, signal);
      if (reached === undefined) return ok(`${hostname} is reachable; nothing was posted`);
      return warning(
        `${hostname}:${number} can't be reached (${reached})`,
        'Check the network, or correct the webhook.',
      );
    };
    return [{ check: name, tried: `connect to ${hostname}:${number}`, run }];
  });
}
