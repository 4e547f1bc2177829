import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { startSshd } from '../../lab/sshd.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { configurationFolder } from '../config/folder.ts';
import { runNode, useBuild } from '../support/built.ts';
import { typeInto } from '../support/pseudo-terminal.ts';

vi.setConfig({ testTimeout: 300_000 });
const build = useBuild();
const cli = (folder: string, ...args: string[]) => runNode(build.path('src/cli.js'), ['--config-dir', folder, ...args]);

async function doctor(folder: string): Promise<(check: string) => Finding | undefined> {
  const { stdout } = await cli(folder, 'doctor', '--host', 'pve1', '--json', '--timeout', '20');
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return (check) => findings.find((one) => one.check === `pve1: ${check}`);
}

describe('a host, from nothing to well', () => {
  it('is pinned by the fingerprints that were expected, and by no others', async () => {
    const sshd = await startSshd();
    const api = await createProxmoxSimulator();
    onTestFinished(async () => {
      await Promise.all([sshd.stop(), api.close()]);
    });
    const { full } = api.tokens;
    const folder = configurationFolder({
      '.env': `# ours
HOST_NAME=pve1
SSH_HOST=127.0.0.1
SSH_PORT=${sshd.ssh.port}
SSH_USER=${sshd.ssh.user}
SSH_KEY_PATH=${sshd.ssh.keyPath}
PROXMOX_HOST=${api.host}
PROXMOX_PORT=${api.port}
PROXMOX_USER=${full.user}
PROXMOX_TOKEN_NAME=${full.name}
PROXMOX_TOKEN_VALUE=${full.secret}
PROXMOX_VERIFY_SSL=false
`,
    });
    const ssh = sshd.fingerprints.ed25519 ?? '';

    // Nothing is pinned: the doctor shows what there is to pin, though the configuration isn't valid yet.
    const unpinned = await doctor(folder);
    expect(unpinned('SSH host key')).toMatchObject({ verdict: 'failed', summary: expect.stringContaining(ssh) });
    expect(unpinned('SSH login')).toMatchObject({ verdict: 'failed' });
    expect(unpinned('API certificate')).toMatchObject({
      verdict: 'failed',
      summary: expect.stringContaining(api.certificateFingerprint),
    });
    expect(unpinned('API token')).toMatchObject({ verdict: 'failed' });

    // Nobody to ask, then the wrong ones.
    const unasked = await cli(folder, 'host', 'add', 'pve1');
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('--fingerprint') });
    const wrong = await cli(folder, 'host', 'add', 'pve1', '--fingerprint', `SHA256:${'A'.repeat(43)}`);
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing was pinned') });
    const half = await cli(folder, 'host', 'add', 'pve1', '--fingerprint', ssh, '--api-fingerprint', 'AB'.repeat(32));
    expect(half).toMatchObject({ code: 1, stderr: expect.stringContaining('no API certificate with the fingerprint') });

    const added = await cli(
      folder,
      'host',
      'add',
      'pve1',
      '--fingerprint',
      ssh,
      '--api-fingerprint',
      api.certificateFingerprint,
    );
    expect(added).toMatchObject({ code: 0 });
    expect(readFileSync(join(folder, '.env'), 'utf8')).toContain(`PROXMOX_FINGERPRINT=${api.certificateFingerprint}\n`);
    expect(readFileSync(join(folder, '.env'), 'utf8')).toMatch(/^# ours\n/);
    expect(statSync(join(folder, '.env')).mode & 0o777).toBe(0o600);
    expect(await cli(folder, 'config', 'check')).toMatchObject({ code: 0 });

    const connections = async () => (await sshd.log()).match(/^Connection from /gm)?.length ?? 0;
    const before = await connections();
    const logins = async () => (await sshd.log()).match(/^Accepted publickey /gm)?.length ?? 0;
    const loginsBefore = await logins();
    const pinned = await doctor(folder);
    // Each that ends without a login counts against this machine on OpenSSH 9.8 and newer.
    expect(await connections()).toBe(before + 1);
    expect(await logins()).toBe(loginsBefore + 1);
    expect(pinned('SSH host key')).toMatchObject({ verdict: 'ok' });
    expect(pinned('SSH login')).toMatchObject({ verdict: 'warning', summary: expect.stringContaining('helper') });
    expect(pinned('API certificate')).toMatchObject({ verdict: 'ok' });
    expect(pinned('API token')).toMatchObject({ verdict: 'ok', summary: expect.stringContaining('Proxmox VE 9') });
    for (const output of [added, half, await cli(folder, 'doctor'), await cli(folder, 'host', 'list', '--json')]) {
      expect(output.stdout + output.stderr).not.toContain(full.secret);
    }

    // Another key than the pinned one, then a key that isn't taken.
    await sshd.changeHostKeys();
    await sshd.down();
    await sshd.up();
    expect((await doctor(folder))('SSH host key')).toMatchObject({
      verdict: 'failed',
      summary: expect.stringMatching(/but SHA256:\S+ is pinned$/),
    });
    // A person who is to compare it is told that it replaces another one.
    expect(await cli(folder, 'host', 'add', 'pve1')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`Others are pinned now, and would be replaced:\n  ${ssh}\n`),
    });
    chmodSync(sshd.ssh.keyPath, 0o644);
    expect((await doctor(folder))('SSH key')).toMatchObject({
      verdict: 'failed',
      remedy: expect.stringContaining('chmod 600'),
    });
  });

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('is not pinned when a person answers with %s', async (_, key) => {
    const sshd = await startSshd();
    onTestFinished(() => sshd.stop());
    const folder = configurationFolder();
    const port = String(sshd.ssh.port);
    const args = [build.path('src/cli.js'), '--config-dir', folder];
    const add = [...args, 'host', 'add', 'pve1', '--address', '127.0.0.1', '--ssh-port', port];
    const { code, screen } = await typeInto(process.execPath, add, { 'Type yes to pin them: ': key });
    expect(screen).toContain('Nothing was pinned.');
    expect(screen).not.toContain('unexpected');
    expect(code).toBe(130);
    expect(existsSync(join(folder, 'hosts.yaml'))).toBe(false);
  });

  it.each([
    ['y', 'y\n'],
    ['Yes', 'Yes\n'],
  ])('is pinned when a person answers %s, and nothing says afterwards that it differs', async (_, answer) => {
    const sshd = await startSshd();
    onTestFinished(() => sshd.stop());
    const folder = configurationFolder();
    const args = [build.path('src/cli.js'), '--config-dir', folder];
    const add = [...args, 'host', 'add', 'pve1', '--address', '127.0.0.1', '--ssh-port', String(sshd.ssh.port)];
    const { code, screen } = await typeInto(process.execPath, add, { 'Type yes to pin them: ': answer });
    expect(code, screen).toBe(0);
    expect(screen).toContain('Next, put the service');
    expect(screen).not.toMatch(/differ|npx proxmox-mcp doctor/);
    // Every key that it has is pinned, so that whichever it shows later is the right one.
    const pins = readFileSync(join(folder, 'data/known_hosts'), 'utf8').trim().split('\n');
    expect(pins).toHaveLength(Object.keys(sshd.fingerprints).length);
    const install = await cli(folder, 'host', 'install', 'pve1', '--yes', '--key', sshd.ssh.keyPath, '--as', 'nobody');
    const checked = await cli(folder, 'doctor', '--host', 'pve1');
    for (const { stdout, stderr } of [install, checked]) {
      expect(stdout + stderr).not.toMatch(/fingerprints? differ|but SHA256:\S+ is pinned|shows \S+ SHA256/);
    }
  });

  it('is told to find out why only by who has said no', async () => {
    const sshd = await startSshd();
    onTestFinished(() => sshd.stop());
    const args = [build.path('src/cli.js'), '--config-dir', configurationFolder()];
    const add = [...args, 'host', 'add', 'pve1', '--address', '127.0.0.1', '--ssh-port', String(sshd.ssh.port)];
    const type = (answer: string) => typeInto(process.execPath, add, { 'Type yes to pin them: ': answer });
    expect((await type('no\n')).screen).toContain('If they differ, find out why');
    expect((await type('maybe\n')).screen).not.toContain('differ');
    // The fingerprint itself is the surest answer.
    expect((await type(`${sshd.fingerprints.ed25519}\n`)).code).toBe(0);
  });

  it('is not added under a second name that leads to the same address, or with the same key', async () => {
    const sshd = await startSshd();
    onTestFinished(() => sshd.stop());
    const port = String(sshd.ssh.port);
    const folder = configurationFolder({
      '.env': `HOST_NAME=pve1\nSSH_HOST=127.0.0.1\nSSH_PORT=${port}\n`,
    });
    const add = (...more: string[]) =>
      cli(folder, 'host', 'add', 'other', '--fingerprint', sshd.fingerprints.ed25519 ?? '', ...more);
    for (const address of ['localhost', '::ffff:127.0.0.1', hostname()]) {
      const added = await add('--address', address, '--ssh-port', port);
      expect(added.stderr, address).toMatch(/The host pve1 (has this address already|is the same one)/);
      expect(added.code, address).toBe(1);
    }
    expect(existsSync(join(folder, 'hosts.yaml'))).toBe(false);
  });

  it('is written to hosts.yaml when it is new', async () => {
    const sshd = await startSshd();
    onTestFinished(() => sshd.stop());
    const folder = configurationFolder();
    const fingerprint = sshd.fingerprints.ed25519 ?? '';
    // Only root can give files away; for others the owner is themselves in any case.
    const [uid, gid] = process.getuid?.() === 0 ? [65_534, 65_534] : [process.getuid?.(), process.getgid?.()];
    const owner = { uid, gid };
    expect(await cli(folder, 'host', 'add', 'pve1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--address'),
    });
    const args = [
      'host',
      'add',
      'pve1',
      '--address',
      '127.0.0.1',
      '--ssh-port',
      String(sshd.ssh.port),
      '--fingerprint',
      fingerprint,
    ];
    mkdirSync(join(folder, 'data'), { mode: 0o700 });
    writeFileSync(join(folder, '.env'), 'LOG_LEVEL=INFO\n');
    for (const one of ['data', '.env']) chownSync(join(folder, one), uid ?? 0, gid ?? 0);
    expect(await cli(folder, ...args)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('npx proxmox-mcp host install pve1'),
    });
    expect(readFileSync(join(folder, 'hosts.yaml'), 'utf8')).toBe(
      `hosts:\n  pve1:\n    SSH_HOST: 127.0.0.1\n    SSH_PORT: ${sshd.ssh.port}\n`,
    );
    expect(readFileSync(join(folder, 'data/known_hosts'), 'utf8')).toContain('ssh-ed25519');
    // The service reads both as the user that .env belongs to.
    for (const file of ['hosts.yaml', 'data/known_hosts'])
      expect(statSync(join(folder, file)), file).toMatchObject(owner);
    expect(await cli(folder, 'host', 'list')).toMatchObject({ code: 0, stdout: expect.stringContaining('pve1') });
    // Nobody is asked to compare again what is pinned.
    expect(await cli(folder, 'host', 'add', 'pve1')).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('pinned already'),
    });
    expect(await cli(folder, ...args)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('configured already'),
    });
    expect((await cli(folder, 'host', 'add', 'PVE', '--address', 'x')).code).toBe(2);
    expect((await cli(folder, 'doctor', '--host', 'nope')).code).toBe(2);
  });
});
