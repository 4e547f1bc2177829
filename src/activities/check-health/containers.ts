import { type Container, containerStates } from '../../hosts/commands/check-health/container-states.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { finding } from './finding.ts';
import { whereInstalled } from './installation.ts';
import { restartsWarning } from './limits.ts';

/** The installation's containers, each on its own line, and what else on the host looks like one of them. */
export async function inspectContainers(host: Host, options: RunOptions): Promise<readonly Finding[]> {
  if (host.config.layout.containers.length === 0) {
    return [finding('Containers', 'skipped', 'No containers are configured for this host.')];
  }
  return whereInstalled(host, options, 'Containers', await judgeContainers(host, options));
}

async function judgeContainers(host: Host, options: RunOptions): Promise<readonly Finding[]> {
  const wanted = host.config.layout.containers;
  const states = await host.run(containerStates, {}, options);
  if (states.docker === 'absent') return [finding('Docker', 'skipped', 'Docker is not installed on this host.')];
  if (states.docker === 'silent') {
    return [
      finding('Docker', 'failed', 'Docker is installed but does not answer, so no container can be looked at.', {
        remedy: 'Run on the host: systemctl status docker',
        evidence: states.words,
      }),
    ];
  }
  const known = new Map(states.configured.map((one) => [one.name, one]));
  const ports = new Map(states.all.map((one) => [one.name, one.ports]));
  const others = states.all.filter(({ name }) => /proxmox-mcp|mcp-/.test(name) && !wanted.includes(name));
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
  const remedy = `Run on the host: docker logs --tail 50 ${name}`;
  if (one.status !== 'running') {
    const why = one.oomKilled ? ', ended for lack of memory' : '';
    const summary = `It is ${one.status} (exit code ${one.exitCode}${why}), since ${one.finishedAt}.`;
    return finding(name, 'failed', summary, { remedy, evidence });
  }
  if (one.health === 'unhealthy') {
    return finding(name, 'failed', 'It runs, but its own health check fails.', { remedy, evidence });
  }
  if (one.health === 'starting') {
    return finding(name, 'warning', 'It has just started; its health check has not passed yet.', { evidence });
  }
  if (one.restarts >= restartsWarning) {
    const summary = `It runs, but Docker restarted it ${one.restarts} times.`;
    return finding(name, 'warning', summary, { remedy, evidence });
  }
  const healthy = one.health === 'healthy' ? ' and healthy' : ' (it has no health check of its own)';
  return finding(name, 'ok', `It is running${healthy} since ${one.startedAt}.`, { evidence });
}
