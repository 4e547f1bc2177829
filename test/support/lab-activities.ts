import { randomUUID } from 'node:crypto';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { type LabHost, type LabHostOptions, startLabHost } from '../../lab/hosts/lab-host.ts';
import type { HostLayout } from '../../src/config.ts';
import { createHosts } from '../../src/hosts/create-hosts.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../src/hosts/helper/generate-helper.ts';
import type { Hosts } from '../../src/hosts/host.ts';
import { createSshExecutor } from '../../src/hosts/ssh/executor.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { logger } from './activity-logger.ts';

/** A lab host with an installation, on which activities are executed without a Temporal server. */
export interface ActivityLab {
  readonly lab: LabHost;
  readonly hosts: Hosts;
  readonly config: { readonly dataDir: string };
  /** It has none. */
  readonly proxmox: ProxmoxApis;
  /** Executes a script on the host as root. */
  readonly onHost: (script: string) => Promise<string>;
  /** The same host with another layout, whose helper is put on it first. Close it. */
  readonly otherHosts: (changes: Partial<HostLayout>) => Promise<Hosts>;
  readonly stop: () => Promise<void>;
}

/** @param options - default: with Docker, and the installation's containers and volumes */
export async function startActivityLab(options: LabHostOptions = { docker: true }): Promise<ActivityLab> {
  const lab = await startLabHost({ installation: true, ...options });
  const hostsWith = async (layout: HostLayout, policy: string) => {
    await lab.writeFile(layout.helper, generateHelper(layout), { mode: 0o755 });
    await lab.writeFile(policy, `claude-user ALL=(root) NOPASSWD: ${layout.helper}\n`, { mode: 0o440 });
    return createHosts({
      hosts: [{ name: 'pve1', ssh: lab.ssh, layout, timeZone: 'UTC' }],
      executorFor: ({ name }) => createSshExecutor({ name, ssh: lab.ssh, log: pino({ level: 'silent' }) }),
    });
  };
  const hosts = await hostsWith(defaultLayout, defaultLayout.sudoersFile);
  return {
    lab,
    hosts,
    config: { dataDir: lab.folder },
    proxmox: createProxmoxApis(
      { hosts: [{ name: 'pve1', ssh: lab.ssh, layout: defaultLayout, timeZone: 'UTC' }] },
      pino({ level: 'silent' }),
    ),
    onHost: (script) => lab.must(['sh', '-euc', script]),
    otherHosts: (changes) => hostsWith({ ...defaultLayout, ...changes }, '/etc/sudoers.d/other'),
    async stop() {
      await hosts.close();
      await lab.stop();
    },
  };
}

/** Where an attempt of a run's activity is executed. */
export function activityOf(run: string): MockActivityEnvironment {
  return new MockActivityEnvironment({ workflowExecution: { workflowId: run, runId: randomUUID() } }, { logger });
}

/** One attempt of an activity. */
export async function attemptIn<T>(environment: MockActivityEnvironment, work: () => Promise<T>): Promise<T> {
  let answer: { readonly value: T } | undefined;
  await environment.run(async () => {
    answer = { value: await work() };
  });
  if (answer === undefined) throw new Error('no answer');
  return answer.value;
}
