import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { docker } from '../../lab/engine.ts';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { createHealthActivities, type HealthActivities } from '../../src/activities/check-health/check-health.ts';
import type { Reached } from '../../src/activities/check-health/reach.ts';
import { type FindingsSection, findingsOf } from '../../src/operations/report.ts';
import { type ActivityLab, activityOf, attemptIn, startActivityLab } from '../support/lab-activities.ts';
import { nobodysClient } from '../support/local-host.ts';

const run = randomUUID();
const attempt = <T>(work: () => Promise<T>) => attemptIn(activityOf(run), work);
const host = 'pve1';
const verdicts = (...sections: readonly FindingsSection[]) =>
  Object.fromEntries(findingsOf(sections).map(({ check, verdict }) => [check, verdict]));

describe.skipIf(whyNoLab())('a Debian host without an installation', () => {
  let machine: ActivityLab;
  let health: HealthActivities;
  beforeAll(async () => {
    machine = await startActivityLab({ installation: false });
    health = createHealthActivities({ ...machine, client: nobodysClient });
  }, startTimeoutMs);
  afterAll(() => machine?.stop());
  const reach = () => attempt(() => health.reachHost({ host }));

  it('and without Proxmox VE is all green: what it never had is skipped', { timeout: 120_000 }, async () => {
    const reached = await reach();
    expect(reached).toMatchObject({
      findings: [{ check: 'Answer', verdict: 'ok' }],
      ways: { commands: true, api: false },
      hasProxmox: false,
      hasHelper: true,
      isInstalled: false,
    });
    const { ways } = reached;
    const sections = await Promise.all([
      attempt(() => health.inspectBackups({ host, ways, hasProxmox: false })),
      attempt(() => health.inspectResources({ host, ways })),
      attempt(() => health.inspectSecurity({ host, isInstalled: false })),
      attempt(() => health.inspectRecentIssues({ host })),
    ]);
    // How busy and how full the machine under the container is, and how old its image, is not the host's doing.
    const { Memory, Swap, CPU, Load, 'Root disk': root, Updates, ...rest } = verdicts(...sections);
    for (const figure of [Memory, CPU, Load, root, Updates]) expect(figure).toMatch(/ok|warning|failed|skipped/);
    expect(rest).toMatchObject({
      'Last good backup': 'skipped',
      Clock: 'ok',
      'Failed units': 'ok',
      'Restart needed': 'ok',
      'Sudoers syntax': 'ok',
      'Sudoers protection': 'ok',
      'Failed logins': 'ok',
      Jobs: 'ok',
    });
    expect(Object.entries(rest).filter(([, verdict]) => verdict !== 'ok' && verdict !== 'skipped')).toEqual([]);
  });

  it('shows a unit that has failed, and that a restart is wanted', { timeout: 120_000 }, async () => {
    await machine.onHost('systemd-run --unit lab-fails /bin/false; touch /run/reboot-required; sleep 1');
    try {
      const found = await attempt(() => health.inspectResources({ host }));
      expect(verdicts(found)).toMatchObject({ 'Failed units': 'failed', 'Restart needed': 'warning' });
      expect(JSON.stringify(found)).toContain('lab-fails.service');
    } finally {
      await machine.onHost('systemctl reset-failed lab-fails; rm /run/reboot-required');
    }
  });

  describe('with Proxmox VE', () => {
    beforeAll(async () => {
      await machine.lab.writeFile('/usr/bin/pvesh', pvesh, { mode: 0o755 });
      const unit = (name: string) =>
        `printf '[Service]\\nExecStart=/bin/sleep infinity\\n' >/etc/systemd/system/${name}.service; systemctl daemon-reload; systemctl start ${name}`;
      const units = ['pve-cluster', 'pvedaemon', 'pveproxy', 'pvestatd', 'pvescheduler', 'corosync'];
      await machine.onHost(`${units.map(unit).join('\n')}
        mkdir -p /etc/pve/nodes/lab/qemu-server /etc/pve/nodes/lab/lxc
        ln -sfn nodes/lab /etc/pve/local
        printf 'name: files\\nonboot: 1\\n' >/etc/pve/nodes/lab/qemu-server/100.conf
        printf 'onboot: 1\\n\\n[before]\\nlock: snapshot\\n' >/etc/pve/nodes/lab/qemu-server/101.conf
        printf 'lock: backup\\n\\n[old]\\nonboot: 1\\n' >/etc/pve/nodes/lab/lxc/102.conf
        printf 'onboot: 1' >/etc/pve/nodes/lab/lxc/none.conf`);
    }, 60_000);

    it('is looked at by commands alone', { timeout: 120_000 }, async () => {
      const reached = await reach();
      expect(reached).toMatchObject({ hasProxmox: true, hasHelper: true });
      const input = { host, ways: reached.ways, hasProxmox: true };
      const [proxmox, storages, guests, backups] = await Promise.all([
        attempt(() => health.inspectProxmox(input)),
        attempt(() => health.inspectStorages(input)),
        attempt(() => health.inspectGuests(input)),
        attempt(() => health.inspectBackups(input)),
      ]);
      expect(verdicts(proxmox)).toEqual({ Version: 'ok', Services: 'ok', Quorum: 'ok' });
      expect(verdicts(storages)).toEqual({ local: 'ok', nas: 'failed' });
      expect(verdicts(guests)).toEqual({ 'VM 101 (mail)': 'failed', 'container 102 (dns)': 'warning' });
      expect(verdicts(backups)).toMatchObject({
        'Backup of VM 100 (files)': 'ok',
        'Guests without a backup': 'unknown',
      });
    });

    it('whose services are down, and whose pvesh says garbage, is never falsely well', {
      timeout: 120_000,
    }, async () => {
      await machine.onHost('systemctl stop pvestatd; mv /usr/bin/pvesh /usr/bin/pvesh.good');
      await machine.lab.writeFile('/usr/bin/pvesh', '#!/bin/sh\necho ipcc_send_rec failed >&2; exit 111\n', {
        mode: 0o755,
      });
      const input = { host, ways: { commands: true, api: false }, hasProxmox: true };
      try {
        const found = await attempt(() => health.inspectProxmox(input));
        expect(verdicts(found)).toEqual({ Version: 'unknown', pvestatd: 'failed', Quorum: 'unknown' });
        expect(JSON.stringify(found)).toContain('ipcc_send_rec failed');
        for (const garbage of ['echo {', 'echo "[]"; echo "[]"', 'yes | head -c 20000000', 'echo null']) {
          await machine.lab.writeFile('/usr/bin/pvesh', `#!/bin/sh\n${garbage}\n`, { mode: 0o755 });
          const storages = await attempt(() => health.inspectStorages(input));
          expect(verdicts(storages), garbage).toEqual({ Storages: 'unknown' });
        }
      } finally {
        await machine.onHost('systemctl start pvestatd; mv -f /usr/bin/pvesh.good /usr/bin/pvesh');
      }
    });
  });

  describe('that goes away is one line within 15 s', () => {
    const away = async (): Promise<Reached> => {
      const began = performance.now();
      const reached = await reach();
      expect(performance.now() - began).toBeLessThan(15_000);
      expect(reached.findings).toHaveLength(1);
      expect(reached.findings[0]?.summary).toMatch(/^pve1 does not answer: .+\.$/);
      expect(reached.ways).toEqual({ commands: false, api: false });
      return reached;
    };
    const back = () =>
      expect.poll(async () => (await reach()).ways.commands, { timeout: 90_000, interval: 2_000 }).toBe(true);

    it('frozen, with a connection that was open', { timeout: 180_000 }, async () => {
      await reach();
      await docker(['pause', machine.lab.name]);
      try {
        expect((await away()).findings[0]?.summary).toContain('says nothing');
        // And once more, when a new connection has to be made.
        expect((await away()).findings[0]?.summary).toContain('says nothing');
      } finally {
        await docker(['unpause', machine.lab.name]);
      }
      await back();
    });

    it('when the network drops every packet', { timeout: 180_000 }, async () => {
      await reach();
      await machine.lab.dropNetwork();
      try {
        await away();
        await away();
      } finally {
        await machine.lab.restoreNetwork();
      }
      await back();
    });

    it('when its key is another one, or nothing listens', { timeout: 180_000 }, async () => {
      await machine.lab.changeHostKey();
      await machine.lab.cutConnections();
      expect((await away()).findings[0]?.summary).toContain('its SSH host key is not the pinned one');
      await machine.lab.restoreHostKey();
      await machine.onHost('systemctl stop ssh.socket ssh 2>/dev/null || systemctl stop ssh');
      await machine.lab.cutConnections();
      expect((await away()).findings[0]?.summary).toContain('nothing listens on');
      await machine.onHost('systemctl start ssh');
      await back();
    });
  });
});

/** As pvesh answers on a node: the API's own JSON. */
const pvesh = `#!/bin/sh
[ "$1" = get ] || exit 255
case " $* " in *' --output-format json '*) ;; *) exit 255 ;; esac
node=$(uname -n); node=\${node%%.*}
day=$(date -d '6 hours ago' +%s)
case $2 in
  /version) echo '{"release":"9.1","repoid":"x","version":"9.1.7"}' ;;
  /cluster/status) echo '[{"type":"cluster","name":"homelab","nodes":1,"quorate":1,"version":1},{"type":"node","name":"lab","online":1,"local":1}]' ;;
  /nodes/$node/storage) echo '[{"storage":"local","type":"dir","content":"backup,iso","active":1,"enabled":1,"shared":0,"total":100,"used":10,"avail":90},{"storage":"nas","type":"nfs","content":"backup","active":0,"enabled":1,"shared":1,"total":0,"used":0,"avail":0}]' ;;
  /nodes/$node/storage/local/content) echo '[{"volid":"local:backup/vzdump-qemu-100-x.vma.zst","content":"backup","format":"vma.zst","subtype":"qemu","vmid":100,"ctime":'$day',"size":1000}]' ;;
  /nodes/$node/qemu) echo '[{"vmid":100,"name":"files","status":"running"},{"vmid":101,"name":"mail","status":"stopped"}]' ;;
  /nodes/$node/lxc) echo '[{"vmid":102,"name":"dns","status":"stopped"}]' ;;
  /nodes/$node/tasks) echo '[]' ;;
  *) echo "No 'get' handler defined for '$2'" >&2; exit 1 ;;
esac
`;
