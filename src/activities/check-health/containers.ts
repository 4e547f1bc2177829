import { z } from 'zod';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { readJson } from '../lib/json.ts';
import { readLines, requireSuccess } from '../lib/output.ts';
import { finding, unexpected } from './finding.ts';
import { restartsWarning } from './limits.ts';

/** What `docker container inspect` says of a configured one. */
const container = z.object({
  name: z.string().transform((name) => name.replace(/^\//, '')),
  status: z.string(),
  exitCode: z.int(),
  oomKilled: z.boolean(),
  startedAt: z.string(),
  finishedAt: z.string(),
  restarts: z.int(),
  image: z.string(),
  health: z.string().nullable(),
});
type Container = z.infer<typeof container>;

/** What `docker container ls` says of every container. */
const listed = z.object({
  name: z.string(),
  state: z.string(),
  status: z.string(),
  ports: z.string(),
  image: z.string(),
});

/** The installation's containers, each on its own line, and what else on the host looks like one of them. */
export async function lookAtContainers(host: Host, options: RunOptions): Promise<Finding[]> {
  const wanted = host.config.layout.containers;
  if (wanted.length === 0) return [finding('Containers', 'skipped', 'No containers are configured for this host.')];
  const result = await host.run('containerStates', {}, { ...options, maxOutputBytes: 1024 * 1024 });
  requireSuccess(result, 'Asking Docker', { host: host.name, folder: '/var/lib/docker' });
  const read = readLines(result.stdout);
  const [docker] = read('docker');
  if (docker === 'absent') return [finding('Docker', 'skipped', 'Docker is not installed on this host.')];
  if (docker !== undefined) {
    return [
      finding(
        'Docker',
        'failed',
        'Docker is installed but does not answer, so no container can be looked at.',
        docker.replace(/^silent /, ''),
      ),
    ];
  }
  const known = new Map(
    read('state')
      .map((line) => readOne(line, container))
      .map((one) => [one.name, one]),
  );
  const all = read('listed').map((line) => readOne(line, listed));
  const ports = new Map(all.map((one) => [one.name, one.ports]));
  const others = all.filter(({ name }) => /proxmox-mcp|mcp-/.test(name) && !wanted.includes(name));
  return [
    ...wanted.map((name) => judgeContainer(name, known.get(name), ports.get(name) ?? '')),
    ...others.map(({ name, state, status }) =>
      finding(name, state === 'running' ? 'ok' : 'warning', `Also on this host, not configured: ${status || state}.`),
    ),
  ];
}

/** What one configured container's state means. */
export function judgeContainer(name: string, one: Container | undefined, ports: string): Finding {
  if (!one) return finding(name, 'failed', 'There is no container of this name.');
  const evidence = `status=${one.status} health=${one.health ?? 'no check'} restarts=${one.restarts} exit=${one.exitCode} image=${one.image} ports=${ports || 'none'}`;
  if (one.status !== 'running') {
    const why = one.oomKilled ? ', ended for lack of memory' : '';
    return finding(
      name,
      'failed',
      `It is ${one.status} (exit code ${one.exitCode}${why}), since ${one.finishedAt}.`,
      evidence,
    );
  }
  if (one.health === 'unhealthy') return finding(name, 'failed', 'It runs, but its own health check fails.', evidence);
  if (one.health === 'starting')
    return finding(name, 'warning', 'It has just started; its health check has not passed yet.', evidence);
  if (one.restarts >= restartsWarning) {
    return finding(name, 'warning', `It runs, but Docker restarted it ${one.restarts} times.`, evidence);
  }
  const healthy = one.health === 'healthy' ? ' and healthy' : ' (it has no health check of its own)';
  return finding(name, 'ok', `It is running${healthy} since ${one.startedAt}.`, evidence);
}

function readOne<T>(line: string, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(readJson(line));
  if (!parsed.success) throw unexpected('docker', line);
  return parsed.data;
}
