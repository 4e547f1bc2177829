import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { archiveVolid } from '../../lab/proxmox/guests/archives.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../src/hosts/helper/generate-helper.ts';
import { catalogue } from '../../src/operations/catalogue.generated.ts';
import { worstRisk } from '../../src/operations/definition.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { furnish } from '../support/cluster-state.ts';
import { sample } from '../support/exhaustive.ts';
import { apiEntry, sshEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

/*
 * Planning changes nothing: for every operation that changes something, all of a real host that could be changed, and the
 * API's tasks and configuration, are compared before and after. And what then runs is what was planned.
 */
const layout = defaultLayout;
const by = { kind: 'cli', name: 'test' } as const;
let lab: LabHost;
let simulator: ProxmoxSimulator;
let service: TestService;

beforeAll(async () => {
  lab = await startLabHost({ installation: true });
  await lab.writeFile(layout.helper, generateHelper(layout), { mode: 0o755 });
  await lab.writeFile(layout.sudoersFile, `claude-user ALL=(root) NOPASSWD: ${layout.helper}\n`, { mode: 0o440 });
  await lab.writeFile('/etc/systemd/system/pmx-planned.service', '[Service]\nExecStart=/bin/sleep infinity\n');
  await sh(`systemctl daemon-reload; mkdir -p -m 700 ${layout.state}; echo pmx-planned >${layout.state}/units`);
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  furnish({ simulator });
  const { scsi0 = '' } = simulator.state.guests.get(120)?.config ?? {};
  const before = { name: 'before', snaptime: 1_700_000_000, description: '', config: { scsi0 } };
  Object.assign(simulator.state.guests.get(120) ?? {}, { snapshots: [before], parent: 'before' });
  const { config } = simulator.state.guests.get(100) ?? {};
  if (config) config.agent = '1';
  bringingBack.archive = archiveVolid(
    simulator.state.archives.find(({ vmid }) => vmid === 100) ?? expect.fail(),
    'dir',
  );
  service = await startService({ hosts: { pve1: { ...sshEntry(lab), ...apiEntry(simulator) } } });
  writeFileSync(join(service.folder, 'policy.yaml'), 'protected: { guests: 999 }\n', { mode: 0o600 });
  await service.startWorker();
  const made = await run('back-up', {});
  restoring.backup = /([a-z]+-backup-[0-9-]+)[.]tar/.exec(JSON.stringify(made.result?.output))?.[1] ?? '';
}, startTimeoutMs);

afterAll(async () => {
  await service?.stop();
  await simulator?.close();
  await lab?.stop();
}, 120_000);

const sh = (script: string) => lab.must(['bash', '-euo', 'pipefail', '-c', script], { timeoutMs: 120_000 });

/** Of the archive that is made before. */
const restoring = { backup: '', what: 'path', paths: ['/etc/hosts'] };

/** Of an archive that the simulated Proxmox VE has from last night. */
const bringingBack = { archive: '' };

/** Requests of each operation, so that every way of changing something is planned once. */
const requests: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  'clone-guest': [
    { vmid: 120, name: 'planned' },
    { vmid: 102, name: 'planned', start: true },
  ],
  'convert-to-template': [{ vmid: 102 }],
  'create-container': [{ name: 'planned' }],
  'create-vm': [{ name: 'planned' }, { name: 'planned', image: 'local:iso/debian-13.iso', start: false }],
  'delete-guest': [{ vmid: 102 }, { vmid: 100, stopFirst: true }],
  'delete-snapshot': [{ vmid: 120, snapshot: 'before' }],
  'label-guest': [{ vmid: 100, addTags: ['web'], notes: 'planned', pool: 'web' }],
  'resume-guest': [{ vmid: 100 }],
  restore: [restoring],
  'roll-back-guest': [{ vmid: 120, snapshot: 'before' }],
  'snapshot-guest': [{ vmid: 100, snapshot: 'planned', withRam: true }],
  'suspend-guest': ['ram', 'disk'].map((to) => ({ vmid: 100, to })),
  'add-disk': [{ vmid: 100, storage: 'local', sizeGiB: 1 }],
  'back-up': [{}],
  'back-up-guest': [{ vmid: 100, storage: 'local' }],
  'change-api': [
    { method: 'PUT', path: '/cluster/options', parameters: { keyboard: 'de' } },
    { method: 'POST', path: '/pools', parameters: { poolid: 'planned' } },
    { vmid: 100, method: 'PUT', path: '/nodes/pve1/qemu/100/config', parameters: { description: 'planned' } },
  ],
  'change-guest-firewall': [
    { vmid: 100, action: 'add', verdict: 'ACCEPT', proto: 'tcp', dport: '22' },
    { vmid: 100, action: 'options', on: true },
  ],
  'change-guests': [{ change: 'snapshot', with: { snapshot: 'planned' }, name: '*' }],
  'change-ha': [{ vmid: 100, action: 'add' }],
  'back-up-service': [{}],
  'change-policy': [{}],
  'change-replication': [{ vmid: 100, action: 'delete', target: 'pve2' }],
  'configure-guest': [{ vmid: 100, set: { cores: 4 } }],
  'copy-backups': [{}],
  'control-guest': ['start', 'shutdown', 'reboot', 'stop'].map((action) => ({ vmid: 100, action })),
  'control-service': ['start', 'stop', 'restart', 'enable', 'disable'].map((action) => ({
    unit: 'pmx-planned',
    action,
  })),
  'download-image': [{ url: 'https://cd.example.test/debian-13.1.0-amd64-netinst.iso' }],
  'fetch-file': [{ vmid: 100, path: '/etc/hostname' }],
  'migrate-guest': [{ vmid: 100, target: 'pve2' }],
  'move-disk': [{ vmid: 100, disk: 'scsi0', storage: 'local', format: 'raw' }],
  'remove-disk': [{ vmid: 100, disk: 'scsi0', action: 'detach' }],
  'resize-disk': [{ vmid: 100, disk: 'scsi0', size: '+1G' }],
  'restore-guest': [bringingBack],
  'run-in-guest': [{ vmid: 100, command: ['true'] }],
  'send-file': [{ vmid: 100, path: '/etc/motd', content: 'planned' }],
};

const ofService = ['back-up-service', 'change-policy'];

async function run(operation: string, input: Record<string, unknown>): Promise<RunDetails> {
  const host = ofService.includes(operation) ? {} : { host: 'pve1' };
  const { id } = await service.runs.start(operation, { ...host, ...input }, by);
  return service.runs.wait(id, { timeoutMs: 180_000 });
}

/**
 * All files with content, owner, mode and time, but for what every login and every look writes: logs, the journal, and the
 * helper's own notes of who looked; and what runs, is mounted and starts with the host, but for timers whose time has come.
 */
async function hostAsItIs(): Promise<string> {
  // systemd gives up on an answer after 25 s, which a loaded machine takes.
  return sh(`systemctl() { for _ in 1 2 3; do command systemctl "$@" && return; done; return 1; }
    { find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /var/log -o -path /var/lib/systemd -o -path /var/lib/sudo \\) -prune -o -type f -printf '%p %u %g %m %s %T@\\n' || :; } | sort
    { find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /var/log -o -path /var/lib/systemd -o -path /var/lib/sudo \\) -prune -o \\( -type d -o -type l \\) -printf '%p %u %g %m %l\\n' || :; } | sort
    systemctl list-units --all --no-legend --plain --type=service,timer,mount | awk '$2 != "not-found" && $1 !~ /^(user|session|run-user|ssh@|systemd-(tmpfiles-clean|logind))/ { print $1, $2, $3, $1 ~ /timer$/ ? "" : $4 }' | sort
    systemctl list-unit-files --no-legend | sort
    ls -1 ${layout.state}/jobs 2>/dev/null || :`);
}

function apiAsItIs(): string {
  const { guests, tasks } = simulator.state;
  const changes = simulator.requests.filter(({ method }) => method !== 'GET').length;
  return JSON.stringify({ guests: [...guests.values()], tasks: [...tasks.keys()], changes });
}

/** What works on the host itself is tried always, what is calls of the API by turns. */
const onHost = ['back-up', 'change-policy', 'control-service', 'restore', 'run-in-guest'];
const tried = [
  ...onHost,
  ...sample(
    Object.keys(requests).filter((name) => !onHost.includes(name)),
    8,
  ),
].map((name) => [name, requests[name] ?? []] as const);
/** Of another kind of host: `test/operations/backup-server.test.ts` plans it. */
const elsewhere = ['maintain-backup-server'];
const changing = Object.values(catalogue).filter(
  (operation) => worstRisk(operation) !== 'read' && !elsewhere.includes(operation.name),
);

describe('planning changes nothing', () => {
  it('is tried for every operation that changes something', () => {
    expect(Object.keys(requests).sort()).toEqual(changing.map(({ name }) => name).sort());
  });

  it.each(tried)(
    '%s',
    async (operation, inputs) => {
      // Whatever a first look leaves behind it has left by then.
      await run(operation, { ...inputs[0], dryRun: true });
      const before = { host: await hostAsItIs(), api: apiAsItIs() };
      for (const input of inputs) {
        const planned = await run(operation, { ...input, dryRun: true });
        expect(planned, planned.failure?.message).toMatchObject({ state: 'planned' });
        expect(planned.result?.plan).toMatchObject({ digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
      }
      expect(apiAsItIs()).toBe(before.api);
      const [were, are] = [before.host.split('\n'), (await hostAsItIs()).split('\n')];
      expect(are.filter((line) => !were.includes(line))).toEqual([]);
      expect(were.filter((line) => !are.includes(line))).toEqual([]);
    },
    300_000,
  );
});

describe('what runs is what was planned', () => {
  it.each([
    ['back-up', {}],
    ['control-service', { unit: 'pmx-planned', action: 'start' }],
  ])(
    '%s',
    async (operation, input) => {
      const verbs = async () => (await sh(`${layout.helper} job-list`)).split('\n').filter(Boolean);
      const before = await verbs();
      const planned = await run(operation, { ...input, dryRun: true });
      const done = await run(operation, input);
      expect(done, done.failure?.message).toMatchObject({ state: 'done' });
      expect(done.result?.plan?.digest).toBe(planned.result?.plan?.digest);
      const calls = done.result?.plan?.steps.flatMap(({ does }) => does.map((call) => call.split(' ', 1)[0])) ?? [];
      const started = (await verbs()).filter((line) => !before.includes(line));
      for (const line of started)
        expect(
          calls.some((call) => line.split(' ').includes(call ?? '')),
          line,
        ).toBe(true);
      expect(started.length).toBeGreaterThan(0);
    },
    300_000,
  );

  it('control-guest', async () => {
    const seen = simulator.requests.length;
    const done = await run('control-guest', { vmid: 101, action: 'start' });
    expect(done, done.failure?.message).toMatchObject({ state: 'done' });
    const calls = done.result?.plan?.steps.flatMap(({ does }) => does.filter((call) => call.startsWith('POST'))) ?? [];
    const made = simulator.requests
      .slice(seen)
      .filter(({ method }) => method !== 'GET')
      .map(({ method, url }) => `${method} ${url.replace('/api2/json', '')}`);
    expect(calls.length).toBe(made.length);
    for (const call of made) expect(calls.some((planned) => planned.startsWith(call))).toBe(true);
  });
});
