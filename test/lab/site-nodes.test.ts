import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeSite } from '../../lab/proxmox/state/nodes.ts';
import { openSite, type Site } from './simulated-site.ts';

let site: Site;
beforeEach(async () => {
  site = await openSite();
});
afterEach(() => site.close());

const pve1 = () => nodeSite(site.simulator.state.nodeSites, 'pve1');

describe('a node', () => {
  it('stops, starts and restarts services by tasks', async () => {
    const { ask, ended } = site;
    const state = async (name: string) => (await ask('GET', `/nodes/pve1/services/${name}/state`)).data['active-state'];
    await ended((await ask('POST', '/nodes/pve1/services/pvestatd/stop')).data);
    expect(await state('pvestatd')).toBe('inactive');
    await ended((await ask('POST', '/nodes/pve1/services/pvestatd/restart')).data);
    expect(await state('pvestatd')).toBe('active');
    pve1().brokenServices.set('cron', "command 'systemctl start cron' failed: exit code 1");
    const broken = await ended((await ask('POST', '/nodes/pve1/services/cron/restart')).data);
    expect(broken.status).toContain('exit code 1');
    expect(await state('cron')).toBe('failed');
  });

  it('finds updates when its lists are read anew, or says why not', async () => {
    const { ask, ended } = site;
    pve1().nextUpdates.push({ package: 'pve-manager', from: '9.1.7', to: '9.1.9', origin: 'Proxmox' });
    expect((await ask('GET', '/nodes/pve1/apt/update')).data).toEqual([]);
    const { data } = await ask('POST', '/nodes/pve1/apt/update');
    expect(data).toMatch(/:aptupdate::mcp@pve!full:$/);
    expect(await ended(data)).toMatchObject({ status: 'OK' });
    expect((await ask('GET', '/nodes/pve1/apt/update')).data).toMatchObject([
      { Package: 'pve-manager', Version: '9.1.9' },
    ]);
    pve1().refreshError = 'Could not resolve host';
    const failed = await ended((await ask('POST', '/nodes/pve1/apt/update')).data);
    expect(failed.status).toBe("command 'apt-get update' failed: exit code 100");
    expect(failed.log).toContain('E: Could not resolve host');
  });

  it('gives its journal packed, and its syslog by pages', async () => {
    const { ask } = site;
    const { bytes, headers } = await ask('GET', '/nodes/pve1/journal', { lastentries: 2 });
    expect(headers['content-encoding']).toBe('gzip');
    const { data } = JSON.parse(gunzipSync(bytes).toString()) as { data: string[] };
    // Between the two cursors.
    expect(data).toHaveLength(4);
    expect(data[2]).toContain('pve1 pvestatd[1422]: status update time');
    const syslog = await ask('GET', '/nodes/pve1/syslog', { service: 'pvedaemon' });
    expect(syslog.data).toMatchObject([{ n: 1, t: expect.stringContaining('successful auth') }]);
  });

  it('shows its disks, pools, certificate, network and figures', async () => {
    const { ask, simulator } = site;
    const { data: disks } = await ask('GET', '/nodes/pve1/disks/list');
    expect(disks).toMatchObject([{ devpath: '/dev/nvme0n1', health: 'PASSED', wearout: 97 }, { devpath: '/dev/sda' }]);
    expect((await ask('GET', '/nodes/pve1/disks/smart', { disk: '/dev/nvme0n1' })).data).toMatchObject({
      type: 'text',
    });
    expect((await ask('GET', '/nodes/pve1/disks/smart', { disk: '/dev/sda' })).data.attributes).toContainEqual(
      expect.objectContaining({ name: 'Reallocated_Sector_Ct', raw: '0' }),
    );
    expect((await ask('GET', '/nodes/pve1/disks/zfs/tank')).data).toMatchObject({ state: 'ONLINE' });
    const { data: certificates } = await ask('GET', '/nodes/pve1/certificates/info');
    expect(certificates[1]).toMatchObject({ fingerprint: simulator.certificateFingerprint });
    expect((await ask('GET', '/nodes/pve1/network', { type: 'bridge' })).data).toMatchObject([{ iface: 'vmbr0' }]);
    expect((await ask('GET', '/nodes/pve1/network', {}, simulator.tokens.limited)).data).toEqual([]);
    const of = async (path: string) => (await ask('GET', path, { timeframe: 'hour' })).data as Record<string, number>[];
    const first = await of('/nodes/pve1/rrddata');
    expect(first).toHaveLength(60);
    expect(await of('/nodes/pve1/rrddata'), 'the same for the same moments').toEqual(
      expect.arrayContaining(first.slice(1)),
    );
    expect((await of('/nodes/pve1/qemu/100/rrddata')).at(-1)?.cpu).toBeGreaterThan(0);
    expect(Object.keys((await of('/nodes/pve1/lxc/102/rrddata')).at(-1) ?? {}), 'it is off').toEqual(['time']);
    expect((await of('/nodes/pve1/storage/local/rrddata')).at(-1)?.total).toBeGreaterThan(0);
  });

  it('answers only what the proxy does itself while its daemon is down', async () => {
    site.simulator.state.daemon = 'down';
    expect((await site.ask('GET', '/version')).status).toBe(200);
    expect(await site.ask('GET', '/nodes/pve1/services')).toMatchObject({ status: 595, reason: 'Connection refused' });
    expect((await site.ask('GET', '/nodes/pve2/services')).status).toBe(200);
  });
});

describe('a storage', () => {
  const url = 'https://files.example.test/rescue.iso';
  const content = Buffer.from('an ISO, if you believe it');
  const sha256 = createHash('sha256').update(content).digest('hex');
  const fetchIso = (more: Readonly<Record<string, string | number>> = {}) =>
    site.ask('POST', '/nodes/pve1/storage/local/download-url', {
      url,
      content: 'iso',
      filename: 'rescue.iso',
      ...more,
    });
  const isos = async () => (await site.ask('GET', '/nodes/pve1/storage/local/content', { content: 'iso' })).data;
  const used = () => site.simulator.state.storages.find(({ node }) => node === 'pve1')?.used ?? 0;
  beforeEach(() => site.simulator.state.web.downloads.set(url, { content, mimetype: 'application/x-iso9660-image' }));

  it('fetches a file, checks it, counts it and gives it back', async () => {
    const { ask, ended } = site;
    expect((await ask('GET', '/nodes/pve1/query-url-metadata', { url })).data).toEqual({
      filename: 'rescue.iso',
      size: content.length,
      mimetype: 'application/x-iso9660-image',
    });
    const before = used();
    const checksum = { checksum: sha256, 'checksum-algorithm': 'sha256' };
    const { data: upid } = await fetchIso(checksum);
    expect(upid).toMatch(/:download:rescue\.iso:/);
    const { status, log } = await ended(upid);
    expect(status).toBe('OK');
    expect(log).toContain('calculating checksum...OK, checksum verified');
    expect(await isos()).toMatchObject([{ volid: 'local:iso/rescue.iso', format: 'iso', size: content.length }]);
    expect(used() - before).toBe(content.length);
    expect((await ended((await fetchIso()).data)).status).toContain('refusing to override existing file');
    expect((await ended((await fetchIso(checksum)).data)).status, 'it is the one already').toBe('OK');
    await ended((await ask('DELETE', '/nodes/pve1/storage/local/content/local:iso/rescue.iso')).data);
    expect(await isos()).toEqual([]);
    expect(used()).toBe(before);
  });

  it('keeps nothing of a wrong file, one that is not there, or one too many', async () => {
    const { ask, ended, simulator } = site;
    const wrong = await fetchIso({ checksum: 'ab'.repeat(32), 'checksum-algorithm': 'sha256' });
    expect((await ended(wrong.data)).status).toBe(`checksum mismatch: got '${sha256}' != expect '${'ab'.repeat(32)}'`);
    const gone = await ended((await fetchIso({ url: 'https://files.example.test/gone.iso' })).data);
    expect(gone.status).toMatch(/^download failed: command 'wget .*' failed: exit code 8$/);
    simulator.state.web.downloads.set(url, { content: { size: 2 ** 50 } });
    const full = await ended((await fetchIso()).data);
    expect(full.status).toMatch(/exit code 3$/);
    expect(full.log.join('\n')).toContain('No space left on device');
    simulator.state.web.downloads.set(url, { content, badCertificate: true });
    expect((await ended((await fetchIso()).data)).status).toMatch(/exit code 5$/);
    expect(await isos()).toEqual([]);
    expect((await fetchIso({ filename: 'rescue.exe' })).errors).toEqual({ filename: 'wrong file extension' });
    expect((await fetchIso({ checksum: 'ab' })).errors).toHaveProperty('checksum-algorithm');
    expect((await ended((await fetchIso({ 'verify-certificates': 0 })).data)).status).toBe('OK');
    const { readOnly } = simulator.tokens;
    const forbidden = await ask(
      'POST',
      '/nodes/pve1/storage/local/download-url',
      { url, content: 'iso', filename: 'a.iso' },
      readOnly,
    );
    expect(forbidden).toMatchObject({
      status: 403,
      reason: 'Permission check failed (/storage/local, Datastore.AllocateTemplate)',
    });
  });

  it('offers templates and fetches the one that is wanted', async () => {
    const { ask, ended } = site;
    const { data: offered } = await ask('GET', '/nodes/pve1/aplinfo');
    const { template } = offered[0] as { template: string };
    expect((await ask('POST', '/nodes/pve1/aplinfo', { storage: 'local', template: 'nosuch' })).errors).toEqual({
      template: 'no such template',
    });
    const { status } = await ended((await ask('POST', '/nodes/pve1/aplinfo', { storage: 'local', template })).data);
    expect(status).toBe('OK');
    const { data } = await ask('GET', '/nodes/pve1/storage/local/content', { content: 'vztmpl' });
    expect(data).toMatchObject([{ volid: `local:vztmpl/${template}`, format: 'tzst' }]);
  });

  it('shows a caller only what they could use', async () => {
    const { ask, simulator } = site;
    const { data: all } = await ask('GET', '/nodes/pve1/storage/local/content');
    const kinds = (entries: { content: string }[]) => [...new Set(entries.map((entry) => entry.content))].sort();
    expect(kinds(all)).toEqual(['backup', 'images', 'rootdir']);
    await ask('PUT', '/access/acl', { path: '/storage/local', roles: 'PVEDatastoreUser', tokens: 'mcp@pve!limited' });
    const { limited } = simulator.tokens;
    expect((await ask('GET', '/nodes/pve1/storage/local/content', {}, limited)).data).toEqual([]);
    await ask('PUT', '/access/acl', { path: '/vms/100', roles: 'PVEVMAdmin', tokens: 'mcp@pve!limited' });
    const { data: some } = await ask('GET', '/nodes/pve1/storage/local/content', {}, limited);
    expect(new Set((some as { vmid: number }[]).map(({ vmid }) => vmid))).toEqual(new Set([100]));
  });
});
