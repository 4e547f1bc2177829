import { describe, expect, it } from 'vitest';
import type { HostConfig } from '../../src/config.ts';
import { toMachine } from '../../src/hosts/commands/shared/machine.ts';
import { createHosts } from '../../src/hosts/create-hosts.ts';
import type { Executor } from '../../src/hosts/execution/executor.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { isSameMachine } from '../../src/hosts/one-machine.ts';

const id = 'a'.repeat(32);

function hostNamed(name: string, more: Partial<HostConfig> = {}): HostConfig {
  return { name, local: { sudo: true }, layout: defaultLayout, timeZone: 'UTC', ...more };
}

/** Hosts whose machines say this of themselves; `asked` has what each was asked. */
function hostsThat(
  configs: readonly HostConfig[],
  says: Readonly<Record<string, { id: string; boot: string } | 'away' | 'silent'>>,
) {
  const asked: string[] = [];
  const executorFor = ({ name }: HostConfig): Executor => ({
    kind: 'local',
    async exec(argv) {
      const asksWho = argv.includes('/etc/machine-id');
      const machine = says[name];
      asked.push(`${name} ${asksWho ? 'machine-id' : argv.at(-1)}`);
      if (machine === 'silent') return new Promise(() => undefined);
      if (machine === 'away' || machine === undefined) throw new Error('away');
      const lines = `/etc/machine-id:${machine.id}\n/proc/sys/kernel/random/boot_id:${machine.boot}`;
      const stdout = asksWho ? lines : '';
      const exitCode = 0;
      return {
        exitCode,
        stdout: `${stdout}\n`,
        stderr: '',
        stdoutBytes: 1,
        stderrBytes: 0,
        truncated: false,
        durationMs: 1,
      };
    },
    upload: async () => ({ bytes: 1, sha256: '', durationMs: 1 }),
    download: async () => ({ bytes: 1, sha256: '', durationMs: 1 }),
    close: async () => undefined,
  });
  return { hosts: createHosts({ hosts: configs, executorFor }), asked };
}

const changed = (asked: readonly string[]) => asked.filter((line) => !line.endsWith(' machine-id'));

describe('one machine under two names', () => {
  const [pve1, old] = [hostNamed('pve1'), hostNamed('pve-old')];

  it('is refused under the second one, and nothing is executed', async () => {
    const { hosts, asked } = hostsThat([pve1, old], { pve1: { id, boot: 'b' }, 'pve-old': { id, boot: 'b' } });
    const outcomes = await Promise.allSettled([hosts.get('pve1').cleanJobs(1), hosts.get('pve-old').cleanJobs(1)]);
    const failed = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    const refused = failed.filter((error) => error.code === 'configuration');
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatchObject({
      message: expect.stringMatching(/^pve(1|-old) and pve(1|-old) are the same machine \(machine-id a{32}\)/),
      remedy: expect.stringContaining('SHARES_MACHINE_ID=true'),
    });
    expect(new Set(changed(asked).map((line) => line.split(' ')[0])).size).toBe(1);
    await expect(
      hosts.get(refused[0].details.host).download('/opt/proxmox-mcp-backups/a', '/x', { timeoutMs: 1 }),
    ).rejects.toMatchObject({ code: 'configuration' });
  });

  it.each([
    ['no machine-id', '', ''],
    ['one that was never set', 'uninitialized', 'b'],
    ['zeros', '0'.repeat(32), 'b'],
  ])('is not seen where the machines have %s', async (_, same, boot) => {
    const { hosts, asked } = hostsThat([pve1, old], { pve1: { id: same, boot }, 'pve-old': { id: same, boot } });
    await Promise.allSettled([hosts.get('pve1').cleanJobs(1), hosts.get('pve-old').cleanJobs(1)]);
    expect(changed(asked)).toHaveLength(2);
  });

  it('is not what a clone is, whose start is another one', async () => {
    const { hosts, asked } = hostsThat([pve1, old], { pve1: { id, boot: 'b' }, 'pve-old': { id, boot: 'c' } });
    await Promise.allSettled([hosts.get('pve1').cleanJobs(1), hosts.get('pve-old').cleanJobs(1)]);
    expect(changed(asked)).toHaveLength(2);
  });

  it('is not looked for where somebody has said that the id is shared, in another state folder, or with one host', async () => {
    const says = { pve1: { id, boot: 'b' }, 'pve-old': { id, boot: 'b' } };
    for (const configs of [
      [pve1, hostNamed('pve-old', { sharesMachineId: true })],
      [pve1, hostNamed('pve-old', { layout: { ...defaultLayout, state: '/var/lib/other' } })],
      [pve1],
    ]) {
      const { hosts, asked } = hostsThat(configs, says);
      for (const { name } of configs)
        await hosts
          .get(name)
          .cleanJobs(1)
          .catch(() => undefined);
      expect(changed(asked)).toEqual(asked);
      expect(asked).toHaveLength(configs.length);
    }
  });

  it('keeps nobody waiting longer than they want to', async () => {
    const { hosts } = hostsThat([pve1, old], { pve1: 'silent' });
    const began = performance.now();
    const signal = AbortSignal.timeout(50);
    await expect(hosts.get('pve1').jobs({ signal })).rejects.toMatchObject({ code: 'cancelled' });
    await expect(
      hosts.get('pve1').download('/opt/proxmox-mcp-backups/a', '/x', { timeoutMs: 50 }),
    ).rejects.toMatchObject({ code: 'timeout' });
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('is looked for again after a host was away, and costs two commands alone', async () => {
    const says: Record<string, { id: string; boot: string } | 'away'> = {
      pve1: 'away',
      'pve-old': { id: 'c'.repeat(32), boot: 'b' },
    };
    const { hosts, asked } = hostsThat([pve1, old], says);
    await expect(hosts.get('pve1').cleanJobs(1)).rejects.toThrow('away');
    says.pve1 = { id, boot: 'b' };
    for (let times = 3; times > 0; times--)
      await hosts
        .get('pve1')
        .cleanJobs(1)
        .catch(() => undefined);
    expect(asked.filter((line) => line.endsWith('machine-id'))).toHaveLength(2);
  });
});

it('tells a machine from its clone, and from a machine that does not say when it started', () => {
  const machine = toMachine(id, 'b');
  if (machine === undefined) throw new Error('it is one');
  expect(isSameMachine(machine, { id, boot: 'c' })).toBe(false);
  expect(isSameMachine(machine, { id, boot: '' })).toBe(true);
  expect(toMachine('', 'b')).toBeUndefined();
});
