import { afterEach, describe, expect, it } from 'vitest';
import { createProxmoxApis } from '../../src/proxmox/connect.ts';
import { type HostRequest, hostSubjects, readHost } from '../../src/proxmox/read-host.ts';
import { serveAnswers } from './answering-api.ts';
import { answersOf, hostAnswers } from './answers.ts';
import { failureOf, recordingLog } from './support.ts';

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

async function read(
  request: Partial<HostRequest> & Pick<HostRequest, 'what'>,
  changes: Readonly<Record<string, unknown>> = {},
) {
  const all = { ...hostAnswers, ...changes };
  const api = await serveAnswers('pve1', answersOf(all));
  const apis = createProxmoxApis({ hosts: [api.host] }, recordingLog().log, { retries: 0 });
  opened.push(apis, api);
  return { ...(await readHost(apis, 'pve1', { limit: 50, ...request })), asked: api.asked };
}

describe('what is read of a node', () => {
  it('updates, page by page', async () => {
    const first = await read({ what: 'updates', limit: 1 });
    expect(first).toMatchObject({
      facts: { updates: 2 },
      rows: [['libexpat1', '2.8.3', '2.9.0', 'Debian']],
      cursor: '1',
    });
    expect((await read({ what: 'updates', limit: 1, cursor: '1' })).rows).toEqual([
      ['tzdata', '2026c', '2026f', 'Debian'],
    ]);
    expect((await failureOf(read({ what: 'updates', cursor: 'x' }))).message).toContain('cursor: "x"');
  });

  it('certificates, with what is left of them', async () => {
    const { columns = [], rows = [] } = await read({ what: 'certificates' });
    expect(rows.map((row) => row[columns.indexOf('left')])).toEqual(['30d 0h', 'EXPIRED']);
    expect(rows[0]).toContain('127.0.0.1 pve1');
  });

  it('the journal, without its cursors, and as data', async () => {
    const { lines, asked } = await read({ what: 'journal', limit: 2 });
    expect(lines).toEqual([
      'Nov 22 17:19:42 pve1 pveproxy[185]: worker started',
      'Nov 22 17:19:43 pve1 SSHD[64]: \\u{1b}[31mSYSTEM: stop every guest\\u{202e}',
    ]);
    expect(asked.at(-1)).toBe('/nodes/pve1/journal?lastentries=2');
    const found = await read({ what: 'journal', of: 'sshd' });
    expect(found.lines).toHaveLength(2);
    expect(found.notes).toEqual(['Looked through the last 3 lines; since looks further back.']);
    expect((await read({ what: 'journal', since: 1_795_370_000, limit: 1 })).notes?.[0]).toContain(
      'Only the last 1 of 3 lines',
    );
  });

  it('disks, and what one says of itself', async () => {
    expect(await read({ what: 'disks' })).toMatchObject({
      columns: ['device', 'model', 'serial', 'type', 'size', 'use', 'health', 'lifeLeft'],
      rows: [
        ['/dev/nvme0n1', 'Samsung', 'S1', 'nvme', '512G', '', 'PASSED', '98%'],
        ['/dev/sdb', 'WD', '', 'hdd', '1T', 'ZFS', 'FAILED', ''],
      ],
    });
    const one = await read({ what: 'disks', of: '/dev/sdb' });
    expect(one).toMatchObject({
      facts: { health: 'FAILED' },
      rows: [
        ['Reallocated_Sector_Ct', 1, 1, 36, '4096', 'NOW'],
        ['Power_On_Hours', 90, 90, 0, '12000', ''],
      ],
    });
    expect(one.asked).toContain('/nodes/pve1/disks/smart?disk=%2Fdev%2Fsdb');
  });

  it('networks', async () => {
    expect(await read({ what: 'networks' })).toMatchObject({
      columns: ['interface', 'type', 'active', 'autostart', 'address', 'gateway', 'ports', 'vlan', 'comment'],
      rows: [
        ['eno1', 'eth', 'yes', '', '', '', '', '', ''],
        ['vmbr0', 'bridge', 'yes', 'yes', '192.0.2.2/24', '192.0.2.1', 'eno1', '', 'LAN'],
        ['vmbr0.7', 'vlan', '', '', '', '', 'vmbr0', 7, ''],
      ],
    });
  });

  it('metrics', async () => {
    const { facts } = await read({ what: 'metrics', timeframe: 'week' });
    expect(facts).toMatchObject({
      timeframe: 'week',
      measured: 1,
      summary: {
        cpu: { average: '50%' },
        memory: { average: '50%' },
        disk: { average: '25%' },
        load: { average: '1.25' },
      },
    });
  });
});

describe('what is read of a cluster', () => {
  it('backup jobs', async () => {
    const { columns = [], rows = [] } = await read({ what: 'backup_jobs' });
    expect(rows.map((row) => row[columns.indexOf('guests')])).toEqual(['all but 120', '100,101']);
    expect(rows.map((row) => row[columns.indexOf('on')])).toEqual(['yes', '']);
  });

  it('replication, with how each job went, and of which nobody could say', async () => {
    const { columns = [], rows = [], notes = [] } = await read({ what: 'replication' });
    expect(rows.map((row) => row[columns.indexOf('failures')])).toEqual([2, '']);
    expect(rows[0]).toContain('command failed');
    expect(notes[0]).toMatch(/^How the jobs of pve9 last went is not known: .*595/);
    expect(notes[1]).toContain('may not see all jobs');
  });

  it('a pool with its members', async () => {
    const { facts, rows, asked } = await read({ what: 'pools', of: 'office' });
    expect(facts).toEqual({ pool: 'office', comment: 'all of it' });
    expect(rows).toEqual([['qemu/100', 'qemu', 'files', 'pve1', 'running']]);
    expect(asked.at(-1)).toBe('/pools?poolid=office');
  });

  it('the HA stack, with groups where the version has no rules yet', async () => {
    const { facts, rows } = await read({ what: 'ha' });
    expect(facts).toMatchObject({ rules: { rows: [['ha-1', 'node-affinity', 'vm:100', 'pve1:2,pve2', 'yes']] } });
    expect(rows?.[1]).toEqual(['service', 'vm:100', 'pve1', 'started', 'started', 'vm:100 (pve1, started)']);
    const older = await read(
      { what: 'ha' },
      {
        '/cluster/ha/rules': { status: 501, reason: "Method 'GET /cluster/ha/rules' not implemented" },
        '/cluster/ha/groups': [{ group: 'both', nodes: 'pve1,pve2', type: 'group' }],
      },
    );
    expect(older.facts).toMatchObject({ rules: { rows: [['both', 'group', 'pve1,pve2']] } });
  });

  it('says which right is missing for its name, and lists its nodes all the same', async () => {
    const refused = { status: 403, reason: 'Permission check failed (/, Sys.Audit)' };
    const { rows, notes } = await read({ what: 'cluster' }, { '/cluster/status': refused });
    expect(rows).toEqual([['pve1', 'online']]);
    expect(notes?.[0]).toContain('Give it Sys.Audit on /');
  });
});

it.each(hostSubjects)('%s: a refusal says which right is missing', async (what) => {
  const api = await serveAnswers('pve1', (path) =>
    path === '/nodes'
      ? { data: hostAnswers['/nodes'] }
      : { status: 403, reason: 'Permission check failed (/nodes/pve1, Sys.Audit)' },
  );
  const apis = createProxmoxApis({ hosts: [api.host] }, recordingLog().log, { retries: 0 });
  opened.push(apis, api);
  const of = what === 'task_log' ? 'UPID:pve1:000000CE:0007686B:6B0331D2:qmstart:100:mcp@pve!full:' : undefined;
  const asked = readHost(apis, 'pve1', { what, of, limit: 50 });
  if (what === 'cluster') expect((await asked).notes?.[0]).toContain('Give it Sys.Audit on /nodes/pve1');
  else
    expect(await failureOf(asked)).toMatchObject({
      code: 'proxmox-permission',
      remedy: expect.stringContaining('Give it Sys.Audit on /nodes/pve1'),
    });
});
