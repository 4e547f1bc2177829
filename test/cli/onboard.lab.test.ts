import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { roles } from '../../lab/proxmox/roles.ts';
import type { ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { apiUser, changingRole, readingRole } from '../../src/proxmox/onboard.ts';
import { changingPaths, changingRoleFor, readingRoleFor } from '../../src/proxmox/rights.ts';
import { configFolder, configOf, makeBare } from '../hosts/install/sample.ts';
import { runNode, useBuild } from '../support/built.ts';
import { typeInto } from '../support/pseudo-terminal.ts';
import { standInProxmox } from './stand-ins/proxmox.ts';

const full = `${apiUser}!mcp-lab`;
const known = roles.Administrator ?? [];
const enabled = { dangerousCommands: false };
const readingPrivileges = readingRoleFor(known).privileges;

describe.skipIf(whyNoLab())('the Proxmox API, made with host install', () => {
  const build = useBuild();
  let host: LabHost;
  let api: ProxmoxSimulator;
  let folder: string;
  let secret: string;

  beforeAll(async () => {
    host = await startLabHost();
    await makeBare(host);
    ({ api, secret } = await standInProxmox(host, 'lab'));
    folder = configFolder(host, configOf(host));
    // Where the simulated API is; a real one is found at SSH_HOST.
    const env = join(folder, '.env');
    writeFileSync(env, `${readFileSync(env, 'utf8')}PROXMOX_HOST=${api.host}\nPROXMOX_PORT=${api.port}\n# mine\n`);
  }, startTimeoutMs);
  afterAll(async () => {
    await Promise.all([api?.close(), host?.stop()]);
  });
  beforeEach(async () => {
    await host.must(['sh', '-c', ': >/etc/pve/asked']);
  });

  const cli = async (verb: string, ...more: string[]) => {
    const args = ['--config-dir', folder, '--debug', 'host', verb, 'lab', '--as', 'admin', '--key', host.admin.keyPath];
    const ran = await runNode(build.path('src/cli.js'), [...args, ...more], { env: { HOME: folder } });
    expect(ran.stdout + ran.stderr).not.toContain(secret);
    return ran;
  };
  const env = () => readFileSync(join(folder, '.env'), 'utf8');
  const database = () => host.readFile('/etc/pve/stand-in');
  const asked = async () =>
    (await host.readFile('/etc/pve/asked'))
      .split('\n')
      .filter((line) => !/ list/.test(line))
      .map((line) => line.replace(/--expire \d{10}/, '--expire IN-A-YEAR'));

  it('is in the plan, and nothing is made before it is agreed to, or without it', { timeout: 120_000 }, async () => {
    const planned = await cli('install', '--dry-run');
    expect(planned, planned.stderr).toMatchObject({ code: 0 });
    for (const line of [
      `Proxmox API: make the role ${readingRole}, which reads: Sys.Audit, VM.Audit`,
      `Proxmox API: make the user ${apiUser}`,
      `Proxmox API: make the API token ${full}, with privileges of its own`,
      `/keys/lab-api-token, mode 600, and nowhere else`,
      'to let them start, stop and change guests: --changes',
      'to leave the Proxmox API out: --api no',
    ]) {
      expect(planned.stdout).toContain(line.replace('Sys.Audit, VM.Audit', readingPrivileges.join(', ')));
    }
    const without = await cli('install', '--yes', '--api', 'no', '--revert-after', '300');
    expect(without, without.stderr).toMatchObject({ code: 0 });
    expect(await database()).toBe('');
    expect(env()).not.toContain('PROXMOX_TOKEN');
  });

  it('is asked about once, with everything else', async () => {
    const args = ['--config-dir', folder, 'host', 'install', 'lab', '--as', 'admin', '--key', host.admin.keyPath];
    const { screen } = await typeInto(process.execPath, [build.path('src/cli.js'), ...args], { 'Type yes: ': 'no\n' });
    expect(screen.match(/Type yes: /g)).toHaveLength(1);
    expect(screen).toContain(`Proxmox API: make the user ${apiUser}`);
    expect(await database()).toBe('');
  });

  it('is left as it was where the cluster has no quorum, and the host stays installed', async () => {
    await host.writeFile('/etc/pve/no-quorum', '');
    const failed = await cli('install', '--yes');
    await host.must(['rm', '/etc/pve/no-quorum']);
    expect(failed.code).not.toBe(0);
    expect(failed.stderr).toContain('no quorum');
    expect(env()).not.toContain('PROXMOX_TOKEN');
    expect(await cli('check')).toMatchObject({ code: 0 });
  });

  it('is made, pinned and used, and its secret is in one file alone', { timeout: 120_000 }, async () => {
    const ran = await cli('install', '--yes');
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    expect(ran.stderr).toContain('The Proxmox API of lab accepts the token.');
    expect(ran.stderr).toContain('npx proxmox-mcp doctor --host lab');
    expect(ran.stderr).toContain('npm start');
    expect((await asked()).filter(Boolean)).toEqual([
      `role add ${readingRole} --privs ${readingPrivileges.join(',')}`,
      `user add ${apiUser} --comment Proxmox MCP`,
      `acl modify / --users ${apiUser} --roles ${readingRole}`,
      `user token add ${apiUser} mcp-lab --privsep 1 --expire IN-A-YEAR --output-format json`,
      `acl modify / --tokens ${full} --roles ${readingRole}`,
    ]);
    expect(readFileSync(join(folder, 'keys/lab-api-token'), 'utf8')).toBe(`${secret}\n`);
    expect(statSync(join(folder, 'keys/lab-api-token')).mode & 0o777).toBe(0o600);
    expect(env()).toContain('PROXMOX_TOKEN_VALUE_FILE=./keys/lab-api-token\n');
    expect(env()).toContain(`PROXMOX_FINGERPRINT=${api.certificateFingerprint}\n`);
    expect(env()).toContain('# mine\n');
    expect(env()).not.toContain(secret);
    const doctor = await runNode(build.path('src/cli.js'), [
      '--config-dir',
      folder,
      'doctor',
      '--host',
      'lab',
      '--json',
    ]);
    const { findings } = JSON.parse(doctor.stdout) as { findings: { check: string; verdict: string }[] };
    const verdicts = new Map(findings.map(({ check, verdict }) => [check, verdict]));
    for (const check of ['API certificate', 'API token', 'rights to look', 'SSH login']) {
      expect(verdicts.get(`lab: ${check}`), check).toBe('ok');
    }
  });

  it('is nothing to do a second time, and is corrected where somebody changed it', { timeout: 120_000 }, async () => {
    const again = await cli('install', '--yes');
    expect(again.stdout).toContain('lab is as it should be: nothing to do.');
    expect((await asked()).filter(Boolean)).toEqual([]);
    await host.must([
      'sh',
      '-c',
      `sed -i 's/^role .*/role ${readingRole} Sys.Modify,Sys.Audit/; s/^user \\(.*\\) 1/user \\1 0/' /etc/pve/stand-in`,
    ]);
    const corrected = await cli('install', '--yes');
    expect(corrected, corrected.stderr).toMatchObject({ code: 0 });
    expect((await asked()).filter(Boolean)).toEqual([
      `role modify ${readingRole} --privs ${readingPrivileges.join(',')}`,
      `user modify ${apiUser} --enable 1`,
    ]);
  });

  it('lets operations change guests where that is said, and only look again', { timeout: 120_000 }, async () => {
    const more = await cli('install', '--yes', '--changes', '--expires', '90d');
    expect(more, more.stderr).toMatchObject({ code: 0 });
    expect((await asked()).filter(Boolean)).toEqual([
      `role add ${changingRole} --privs ${changingRoleFor(known, enabled).privileges.join(',')}`,
      ...changingPaths(enabled).map((path) => `acl modify ${path} --users ${apiUser} --roles ${readingRole}`),
      ...changingPaths(enabled).map((path) => `acl modify ${path} --users ${apiUser} --roles ${changingRole}`),
      `user token modify ${apiUser} mcp-lab --privsep 1 --expire IN-A-YEAR`,
      `user token add ${apiUser} mcp-lab-read --privsep 1 --expire IN-A-YEAR --output-format json`,
      ...changingPaths(enabled).map((path) => `acl modify ${path} --tokens ${full} --roles ${readingRole}`),
      ...changingPaths(enabled).map((path) => `acl modify ${path} --tokens ${full} --roles ${changingRole}`),
      `acl modify / --tokens ${full}-read --roles ${readingRole}`,
    ]);
    expect((await cli('install', '--yes')).stdout, 'it stays as it was said').toContain('nothing to do');
    const less = await cli('install', '--yes', '--read-only');
    expect(less, less.stderr).toMatchObject({ code: 0 });
    expect(await database()).not.toContain(changingRole);
  });

  it('makes a second token where the secret of the first is not known here', { timeout: 120_000 }, async () => {
    const kept = env();
    const without = kept.split('\n').filter((line) => !/^PROXMOX_(READ_)?(TOKEN|USER|FINGER)/.test(line));
    writeFileSync(join(folder, '.env'), without.join('\n'));
    const ran = await cli('install', '--yes');
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    expect(ran.stderr).toContain(`make the API token ${full}-2`);
    expect(ran.stderr).toContain("the secret of mcp-lab, mcp-lab-read, which is there, isn't known here");
    expect(await database()).toContain(`token ${apiUser} mcp-lab `);
  });

  it('pins nothing where another certificate is shown than the host has', async () => {
    await host.writeFile('/etc/pve/local/pveproxy-ssl.pem', api.caPem);
    const refused = await cli('install', '--yes', '--api', 'yes');
    await host.must(['rm', '/etc/pve/local/pveproxy-ssl.pem']);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('somebody may be between this machine and the host');
  });

  it('is taken away by host uninstall: its own token, and with the last one user and role', {
    timeout: 120_000,
  }, async () => {
    const off = await cli('uninstall', '--yes');
    expect(off, off.stderr).toMatchObject({ code: 0 });
    expect(off.stderr).toContain(
      `remove the API token ${full}-2; ${apiUser} stays, as it has others (mcp-lab, mcp-lab-read)`,
    );
    expect(await database()).not.toContain('mcp-lab-2');
    expect(() => statSync(join(folder, 'keys/lab-api-token'))).toThrow();
    expect(env()).not.toContain('PROXMOX_');
    expect(env()).toContain('# mine\n');

    const lines = [`PROXMOX_HOST=${api.host}`, `PROXMOX_PORT=${api.port}`, `PROXMOX_USER=${apiUser}`];
    const more = [
      'PROXMOX_TOKEN_NAME=mcp-lab',
      `PROXMOX_TOKEN_VALUE=${secret}`,
      'PROXMOX_READ_TOKEN_NAME=mcp-lab-read',
      `PROXMOX_READ_TOKEN_VALUE=${secret}`,
      `PROXMOX_FINGERPRINT=${api.certificateFingerprint}`,
    ];
    writeFileSync(join(folder, '.env'), `${env()}${[...lines, ...more].join('\n')}\n`);
    const last = await cli('uninstall', '--yes');
    expect(last, last.stderr).toMatchObject({ code: 0 });
    expect(await database()).toBe('');
  });
});
