import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { LabHost } from '../../lab/hosts/lab-host.ts';
import type { TestService } from './service.ts';

/** Runs that are in the middle of a step, and what carries them. */
export interface Hit {
  readonly service: TestService;
  /** The runs' ids. */
  readonly ids: readonly string[];
  /** The host that all of them work on. A fault that is not `ssh` does without. */
  readonly lab?: LabHost;
  /** Called while a fault lasts that lasts for a while. */
  readonly during?: () => Promise<void>;
}

export interface CrashFault {
  /** As `docs/crash-matrix.md` names it. */
  readonly name: string;
  /** Only a host behind SSH can have it. */
  readonly ssh?: true;
  /** The run is to be undone; else it is to go on to its end. */
  readonly cancels?: true;
  /** The host forgets the job, so its outcome is unknown, and the step looks and does its work again. */
  readonly forgets?: true;
  hit(what: Hit): Promise<void>;
}

const by = { kind: 'cli', name: 'test' } as const;
const cancel = ({ service, ids }: Hit) => Promise.all(ids.map((id) => service.runs.cancel(id, 'test', by)));

function labOf({ lab }: Hit): LabHost {
  if (lab === undefined) throw new Error('this fault needs a lab host');
  return lab;
}

async function cutConnections(lab: LabHost): Promise<void> {
  expect(await lab.cutConnections()).toBeGreaterThan(0);
}

/** What can hit any operation in the middle of any step. Each ends with everything at work again. */
export const crashFaults: readonly CrashFault[] = [
  {
    name: 'the worker was killed',
    async hit({ service }) {
      await service.killWorker('SIGKILL');
      await service.startWorker();
    },
  },
  {
    name: 'the worker was stopped in order',
    async hit({ service }) {
      await service.killWorker('SIGTERM');
      await service.startWorker();
    },
  },
  {
    name: 'the Temporal server was killed',
    async hit({ service }) {
      const pid = service.temporal.pid() as number;
      process.kill(pid, 'SIGKILL');
      await expect.poll(() => service.temporal.pid() ?? pid, { timeout: 60_000 }).not.toBe(pid);
    },
  },
  {
    name: 'the run was cancelled',
    cancels: true,
    async hit(what) {
      await cancel(what);
    },
  },
  {
    name: 'the run was cancelled while there was no worker',
    cancels: true,
    async hit(what) {
      await what.service.killWorker('SIGKILL');
      await cancel(what);
      await what.service.startWorker();
    },
  },
  {
    name: 'the SSH connection was cut',
    ssh: true,
    hit: (what) => cutConnections(labOf(what)),
  },
  {
    name: 'sshd was restarted and the SSH connection was cut',
    ssh: true,
    async hit(what) {
      await labOf(what).restartSshd();
      await labOf(what).cutConnections();
    },
  },
  {
    // Longer than the connections' keepalive (40 s) and than a heartbeat.
    name: 'the network swallowed every packet for more than a minute',
    ssh: true,
    async hit(what) {
      await labOf(what).dropNetwork();
      await sleep(65_000);
      await what.during?.();
      await labOf(what).restoreNetwork();
    },
  },
  {
    name: 'the host lost its power',
    ssh: true,
    forgets: true,
    hit: (what) => labOf(what).reboot('power-loss'),
  },
  {
    name: 'the host was restarted',
    ssh: true,
    forgets: true,
    hit: (what) => labOf(what).reboot('orderly'),
  },
];
