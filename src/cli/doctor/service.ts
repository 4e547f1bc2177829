import { z } from 'zod';
import { localAddress, splitAddress, urlHost } from '../../address.ts';
import type { Config } from '../../config.ts';
import { finding } from '../../operations/finding.ts';
import { readableList } from '../../reports/units.ts';
import { grpcFailure } from '../../runs/grpc-failure.ts';
import { temporalAddress, temporalEndpoint } from '../../runs/temporal-endpoint.ts';
import { askReadiness, mcpServerAddress, readinessUrl } from '../../service/readiness.ts';
import { tcp } from '../tcp.ts';
import { type Check, failed, ok, type Result, skipped, warning } from './check.ts';
import { startIt } from './deployment.ts';

/** gRPC's codes: not found; cancelled, deadline exceeded, unavailable. */
const notFound = 5;
const noAnswer: readonly number[] = [1, 4, 14];

/** The service's own processes and what they depend on. */
export function serviceChecks(config: Config): Check[] {
  return [
    temporalServer(config),
    configurationInUse(config),
    schedules(config),
    mcpServer(config),
    workerMetrics(config),
    workers(config),
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
      if (reached === 'ECONNREFUSED' && address === undefined) return skipped(`nothing runs on ${where}. ${startIt()}`);
      if (reached !== undefined)
        return failed(`${where} can't be reached (${reached})`, 'Check TEMPORAL_ADDRESS and that the server runs.');
      const { connectTemporal } = await import('../../runs/temporal-client.ts');
      const client = await connectTemporal(config, 5_000);
      try {
        const described = await client.withAbortSignal(signal, () =>
          client.workflowService.describeNamespace({ namespace }),
        );
        const { addAttributes, missingAttributes, shortRetention } = await import(
          '../../service/temporal-namespace.ts'
        );
        const missing = await client.withAbortSignal(signal, () => missingAttributes(client.connection, namespace));
        if (missing.length > 0) {
          return failed(
            `the namespace ${namespace} has no search attributes ${missing.join(', ')}, without which runs can't go on`,
            endpoint.isCloud
              ? `Run: ${addAttributes(endpoint, missing)}`
              : `Restart the service, which adds them. If its server refuses that: ${addAttributes(endpoint, missing)}`,
          );
        }
        const seconds = Number(described.config?.workflowExecutionRetentionTtl?.seconds ?? 0);
        const short = shortRetention(endpoint, seconds);
        if (short !== undefined) return warning(short.summary, short.remedy);
        return ok(`${where} answers, the namespace ${namespace} is there`);
      } catch (error) {
        const { explainTemporal } = await import('../../runs/temporal-failure.ts');
        const { makeNamespace } = await import('../../service/temporal-namespace.ts');
        const said = error instanceof Error ? error.message : String(error);
        const code = grpcFailure(error)?.code;
        if (code === notFound) {
          return failed(
            `${where} answers, and has no namespace ${namespace}`,
            `Correct TEMPORAL_NAMESPACE, or make it: ${makeNamespace(endpoint)}`,
          );
        }
        if (code !== undefined && noAnswer.includes(code)) {
          return failed(
            `${where} answers, but can't read its database`,
            "Look at the database (PostgreSQL) and at the Temporal server's log. Runs go on when it is back.",
            said,
          );
        }
        const { message, remedy } = await explainTemporal(error, endpoint);
        return failed(message, remedy, said);
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
      if (config.compose !== undefined) {
        return skipped('each container has read it for itself; systemctl reload proxmox-mcp says what counts when');
      }
      const [{ keysChangedSince }, { runningService }] = await Promise.all([
        import('../../service/status.ts'),
        import('../../service/record.ts'),
      ]);
      if (runningService(config) === undefined) return skipped(`the service doesn't run here. ${startIt()}`);
      const changed = keysChangedSince(config);
      if (changed.length === 0) return ok('the running service has read what is there now');
      return failed(
        `the configuration has changed since the service read it (${readableList(changed)}): it runs with the old one`,
        'Have it read again: npx proxmox-mcp reload, which says what needs a restart.',
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

function mcpServer(config: Config): Check {
  const { port } = config.mcp;
  const local = mcpServerAddress(config);
  const url = readinessUrl(config);
  return {
    check: 'MCP server',
    tried: `GET ${url}`,
    async run(signal): Promise<Result> {
      const reached = await tcp(local, port, signal);
      if (reached === 'ECONNREFUSED' || (config.compose && reached === 'ENOTFOUND'))
        return skipped(`nothing runs on port ${port}. ${startIt()}`);
      if (reached !== undefined) return failed(`${local}:${port} can't be reached (${reached})`, 'Correct MCP_HOST.');
      const answer = await askReadiness(config, signal).catch(() => undefined);
      const body = readiness.safeParse(answer?.json).data;
      if (answer === undefined || body === undefined) {
        return failed(`another program listens on port ${port}`, 'Stop it, or set another MCP_PORT.');
      }
      if (answer.status === 200) return ok(`ready at ${url}`);
      return failed(
        "it runs, but isn't ready",
        'Look at the other lines, and at logs/ in the data folder.',
        body.findings.map(({ check, summary, remedy = '' }) => `${check}: ${summary} ${remedy}`).join('\n'),
      );
    },
  };
}

const readiness = z.object({ ready: z.boolean(), findings: z.array(finding).catch([]) });

/** Who takes work, wherever they run: as the Temporal server sees them. */
function workers(config: Config): Check {
  return {
    check: 'Workers',
    tried: 'ask the Temporal server who takes work, for each host',
    async run(signal): Promise<Result> {
      const where = temporalAddress(config);
      if ((await tcp(...splitAddress(where), signal)) !== undefined) return skipped(`nothing answers on ${where}`);
      const [{ connectTemporal }, { readServing }] = await Promise.all([
        import('../../runs/temporal-client.ts'),
        import('../../runs/serving.ts'),
      ]);
      const client = await connectTemporal(config, 5_000);
      try {
        const hosts = config.hosts.map(({ name }) => name);
        const {
          workers: seen,
          runs,
          ledger,
          unserved,
        } = await client.withAbortSignal(signal, () => readServing(client, hosts));
        const list = seen.map(({ identity, hosts: served, ledger: own }) => {
          const all = served.length === hosts.length ? 'all hosts' : readableList(served);
          return `${identity}: ${[served.length === 0 ? 'no host' : all, ...(own ? ['the ledger'] : [])].join(', ')}`;
        });
        if (seen.length === 0) return skipped(`no worker takes work. ${startIt()}`);
        const wrong = [
          ...(runs ? [] : ['no worker takes runs']),
          ...(ledger ? [] : ['no worker has the ledger']),
          ...unserved.map((host) => `no worker serves ${host}`),
        ];
        if (wrong.length === 0) return ok(list.join('; '));
        return failed(
          wrong.join('; '),
          'Start a worker whose WORKER_HOSTS names them, or that serves all; one of them needs WORKER_LEDGER=auto or only.',
          list.join('\n'),
        );
      } finally {
        await client.connection.close();
      }
    },
  };
}

function workerMetrics({ worker: { metricsHost, metricsPort }, compose }: Config): Check {
  const host = compose ? 'worker' : localAddress(metricsHost);
  const url = `http://${urlHost(host)}:${metricsPort}/metrics`;
  return {
    check: 'Worker',
    tried: `GET ${url}`,
    async run(signal) {
      const reached = await tcp(host, metricsPort, signal);
      if (reached !== undefined) return skipped(`nothing runs on port ${metricsPort}. ${startIt()}`);
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
