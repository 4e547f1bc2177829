import { spawn } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { runChecks } from '../../src/cli/doctor/check.ts';
import { newKeyPair } from '../../src/hosts/ssh/new-key.ts';
import type { Finding } from '../../src/operations/finding.ts';
import { configurationFolder } from '../config/folder.ts';
import { runNode, useBuild } from '../support/built.ts';

const token = '3f2a9c1e-0000-4000-8000-5e1ec7edcafe';
const password = 'c4n4ry-p4ssw0rd';

const valid = `SSH_HOST=127.0.0.1
SSH_PORT=1
HOST_NAME=pve1
PROXMOX_HOST=127.0.0.1
PROXMOX_PORT=1
PROXMOX_USER=root@pam
PROXMOX_TOKEN_NAME=mcp
PROXMOX_TOKEN_VALUE=${token}
SMTP_HOST=127.0.0.1
SMTP_PORT=1
SMTP_SECURITY=none
SMTP_USER=user
SMTP_PASSWORD=${password}
MAIL_TO=admin@example.org
MCP_PORT=2
TEMPORAL_PORT=3
TEMPORAL_UI_PORT=4
WORKER_METRICS_PORT=5
`;

vi.setConfig({ testTimeout: 240_000 });
const build = useBuild();

describe('proxmox-mcp', () => {
  const cli = (folder: string, args: readonly string[], env: Record<string, string> = {}) =>
    runNode(build.path('src/cli.js'), ['--config-dir', folder, ...args], { env });

  it('explains itself', async () => {
    const help = await cli('/', ['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const word of [
      'check-health',
      'back-up',
      'doctor',
      'runs',
      'schedules',
      'token',
      'Exit codes',
      'Operations:',
    ]) {
      expect(help.stdout).toContain(word);
    }
    for (const line of help.stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    const backup = await cli('/', ['back-up', '--help']);
    expect(backup.stdout).not.toMatch(/dryRun|list_hosts/);
    expect(backup.stdout).toMatch(/--host <name>[\s\S]*--kind <value>[\s\S]*--dry-run[\s\S]*--no-wait/);
    expect(await cli('/', ['--version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });

  it('refuses what it does not know with exit code 2 and says what was meant', async () => {
    const folder = configurationFolder();
    const unknown = await cli(folder, ['check-helth']);
    expect(unknown).toMatchObject({ code: 2, stdout: '' });
    expect(unknown.stderr).toContain('check-health');
    expect((await cli(folder, ['back-up', '--hots', 'x'])).stderr).toContain('--host');
    expect((await cli(folder, ['back-up', '--kind', 'x'])).stderr).toContain('daily');
    expect((await cli(folder, ['runs', 'list', '--limit', 'x'])).stderr).toContain('whole number from 1 to 200');
    expect((await cli(folder, ['call', 'x', '[1]'])).code).toBe(2);
    expect((await cli(folder, ['token', 'create', 'x', '--expires', 'soon'])).stderr).toContain('--expires 2027');
    expect((await cli(folder, ['token', 'create', 'x', '--expires', '2027-02-30'])).stderr).toContain('is not a date');
  });

  it('names the commands of a group when it is asked for one that is none', async () => {
    const folder = configurationFolder();
    for (const [group, commands] of [
      ['runs', 'list, get, wait, cancel, undo, decide, code, log'],
      ['schedules', 'list, add, remove, pause, resume, trigger, change'],
      ['token', 'create, list, revoke'],
      ['people', 'list, add, remove, role, disable, enable, mail, password, totp, key'],
      [
        'host',
        'list, install, uninstall, check, jobs, accept-backup, bring-backup, protect-backup, administrators, allow-changes, add',
      ],
    ] as const) {
      const { code, stderr } = await cli(folder, [group, 'lst']);
      expect(code).toBe(2);
      expect(stderr).toContain(`unknown command 'lst'; ${group} has ${commands}`);
    }
    expect(await cli(folder, ['runs', 'list', 'x'])).toMatchObject({ code: 2, stderr: expect.stringContaining("'x'") });
  });

  it('refuses a folder of the configuration that is not there, instead of starting the demo', async () => {
    const folder = join(configurationFolder(), 'mistyped');
    for (const args of [['start'], ['doctor'], ['config', 'check']]) {
      const ended = await cli(folder, args);
      expect(ended, args.join(' ')).toMatchObject({ code: 2, stdout: '' });
      expect(ended.stderr).toContain(`${folder} (the folder of the configuration): expected a folder that is there`);
    }
    expect(existsSync(folder)).toBe(false);
  });

  it('says what is wrong with a data folder that can not be used', async () => {
    const folder = configurationFolder({ '.env': 'DATA_DIR=./taken/data\nDEMO=true', taken: '' });
    for (const args of [['start'], ['token', 'create', 'x'], ['token', 'list']]) {
      const { code, stderr } = await cli(folder, args);
      expect(code).toBe(1);
      expect(stderr).toMatch(/\/taken\/\S+ can't be used .*a file is where a folder has to be\. .*DATA_DIR/);
    }
    const { stdout } = await cli(folder, ['doctor', '--timeout', '5']);
    expect(stdout).toMatch(/Tokens: \S+ can't be used/);
  });

  it('does not end with 0 when its output was lost', async () => {
    const lost = openSync('/dev/full', 'w');
    onTestFinished(() => closeSync(lost));
    const args = [build.path('src/cli.js'), '--config-dir', configurationFolder(), 'token', 'list', '--json'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', lost, 'pipe'] });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(1);
    expect(said).toContain("can't be written (ENOSPC)");
  });

  it("asks for the administrator's key, not for the service's, where there is none", async () => {
    const folder = configurationFolder({ '.env': valid });
    for (const more of [[], ['--key', join(folder, 'none')]]) {
      const ended = await cli(folder, ['host', 'install', 'pve1', ...more], { HOME: folder });
      expect(ended).toMatchObject({ code: 2, stdout: '' });
      expect(ended.stderr).toMatch(/no SSH key \S+ to log in with as root on pve1.*--key FILE/);
      expect(ended.stderr).not.toContain('SSH_KEY_PATH');
    }
  });

  it('checks the configuration: every problem at once, exit code 2, no stack', async () => {
    const folder = configurationFolder({ '.env': 'SSH_HOTS=a\nMCP_PORT=b' });
    const checked = await cli(folder, ['config', 'check']);
    expect(checked).toMatchObject({ code: 2, stdout: '' });
    expect(checked.stderr).toContain('1. SSH_HOTS (.env:1): expected a known key. Did you mean SSH_HOST?');
    expect(checked.stderr).toContain('2. MCP_PORT (.env:2)');
    expect(checked.stderr).not.toMatch(/\n\s+at /);
    expect(await cli(configurationFolder(), ['config', 'check'])).toMatchObject({ code: 0, stderr: '' });
    const good = await cli(configurationFolder({ '.env': valid }), ['config', 'check']);
    expect(good).toMatchObject({ code: 0, stdout: expect.stringContaining('Hosts: pve1.') });
    expect(good.stdout).toContain('Claude Code: claude mcp add --transport http proxmox http://127.0.0.1:2/api/mcp');
    expect(good.stderr).toContain('SSH_KEY_PATH (the default)');
    expect(good.stderr).toContain('npx proxmox-mcp host install pve1, which makes it');
  });

  it('finds a key that no login could use, in the line order of the other problems', async () => {
    const { private: secret, public: half } = newKeyPair('test');
    const folder = configurationFolder({
      '.env': `SSH_HOST=p\nSSH_KEY_PATH=key.pub\nMCP_PORT=b\n`,
      key: secret,
      'key.pub': half,
    });
    const wrong = await cli(folder, ['config', 'check']);
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toContain(
      `1. SSH_KEY_PATH (.env:2): expected a private key; ${join(folder, 'key.pub')} is the public half`,
    );
    expect(wrong.stderr).toContain(`${join(folder, 'key')},`);
    expect(wrong.stderr).toContain('2. MCP_PORT (.env:3)');
    writeFileSync(join(folder, '.env'), 'SSH_HOST=p\nSSH_KEY_PATH=key\n', { mode: 0o600 });
    expect(await cli(folder, ['config', 'check'])).toMatchObject({ code: 0, stderr: '' });
    chmodSync(join(folder, 'key'), 0o644);
    const open = await cli(folder, ['config', 'check']);
    expect(open).toMatchObject({ code: 2, stderr: expect.stringContaining('may be read by others (mode 0644)') });
    const install = await cli(folder, ['host', 'install', 'proxmox', '--key', join(folder, 'key.pub')]);
    expect(install).toMatchObject({ code: 2, stderr: expect.stringContaining('is the public half of a key') });
    expect(install.stderr).toContain('--key');
  });

  it('says what is wrong with what host add is given, before anything is connected', async () => {
    const folder = configurationFolder({ '.env': valid });
    for (const [args, said] of [
      [['pve2', '--address', 'fe80::1%eth0'], 'zone'],
      [['pve2', '--address', '127.0.0.1', '--ssh-port', '1'], 'pve1 has this address already'],
      [['pve1', '--fingerprint', `MD5:${'ab'.repeat(16)}`], 'That is an MD5 fingerprint'],
      [['pve1', '--api-fingerprint', 'ab'.repeat(20)], 'That is a SHA-1 fingerprint'],
    ] as const) {
      const ended = await cli(folder, ['host', 'add', ...args]);
      expect(ended).toMatchObject({ stdout: '', stderr: expect.stringContaining(said) });
      expect(ended.code).not.toBe(0);
    }
  });

  it('shows where each value comes from, and no secret', async () => {
    const folder = configurationFolder({ '.env': valid });
    for (const args of [[], ['--json'], ['--all'], ['--all', '--json']]) {
      const shown = await cli(folder, ['--set', 'LOG_LEVEL=DEBUG', 'config', 'show', ...args], { SSH_USER: 'ops' });
      expect(shown.code).toBe(0);
      expect(shown.stdout + shown.stderr).not.toContain(token);
      expect(shown.stdout + shown.stderr).not.toContain(password);
      expect(shown.stdout).toMatch(/SSH_USER[\s\S]*?ops[\s\S]*?the environment/);
      expect(shown.stdout).toMatch(/SMTP_PASSWORD[\s\S]*?\[secret\]/);
      expect(shown.stdout).toContain('.env:1');
      expect(shown.stdout).toContain('--set');
    }
    const refused = await cli(folder, ['--set', `SMTP_PASSWORD=${password}`, 'config', 'check']);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('no secret on the command line') });
    expect(refused.stderr).not.toContain(password);
  });

  it('makes, lists and revokes tokens', async () => {
    const folder = configurationFolder();
    const made = await cli(folder, ['token', 'create', 'claude', '--scope', 'operate', '--expires', '2099-12-31']);
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^pmcp_[\w-]{56}\n$/) });
    expect(made.stderr).toContain('claude mcp add');
    expect(made.stderr).not.toContain(made.stdout.trim());
    const listed = await cli(folder, ['token', 'list', '--json']);
    expect(JSON.parse(listed.stdout)).toMatchObject([
      { name: 'claude', scope: 'operate', expiresAt: '2099-12-31T23:59:59.999Z' },
    ]);
    expect(listed.stdout).not.toContain(made.stdout.trim().slice(-20));
    expect(await cli(folder, ['token', 'create', 'claude'])).toMatchObject({ code: 1, stdout: '' });
    expect(await cli(folder, ['token', 'revoke', 'claude'])).toMatchObject({ code: 0 });
    expect(await cli(folder, ['token', 'revoke', 'claude'])).toMatchObject({
      code: 1,
      stderr: 'There is no token named "claude". There are no tokens at all.\n',
    });
  });

  it('leaves a damaged token file as it is and says what to do', async () => {
    const folder = configurationFolder();
    const path = join(folder, 'data/tokens.json');
    mkdirSync(join(folder, 'data'), { mode: 0o700 });
    writeFileSync(path, '{"tokens": [', { mode: 0o600 });
    const refused = await cli(folder, ['token', 'create', 'x']);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/damaged.*left as it is.*Restore it/);
    expect(readFileSync(path, 'utf8')).toBe('{"tokens": [');
  });

  it('says that the service is not running, and how to start it', async () => {
    const folder = configurationFolder({ '.env': valid });
    for (const args of [
      ['check-health', '--host', 'pve1'],
      ['runs', 'list'],
      ['schedules', 'list'],
    ]) {
      const ended = await cli(folder, args);
      expect(ended, args.join(' ')).toMatchObject({ code: 1, stdout: '' });
      expect(ended.stderr).toMatch(/Temporal server at 127\.0\.0\.1:3 doesn't answer.*npm start/);
    }
    const tools = await cli(folder, ['tools']);
    expect(tools).toMatchObject({ code: 1, stderr: expect.stringContaining("can't be reached (ECONNREFUSED)") });
    // The token that was made for the call is gone again.
    expect(JSON.parse((await cli(folder, ['token', 'list', '--json'])).stdout)).toEqual([]);
  });
});

describe('proxmox-mcp doctor', () => {
  const doctor = async (files: Record<string, string>, prepare: (folder: string) => void = () => undefined) => {
    const folder = configurationFolder(files);
    prepare(folder);
    const args = ['--config-dir', folder, 'doctor', '--timeout', '5'];
    const [json, text] = [
      await runNode(build.path('src/cli.js'), [...args, '--json']),
      await runNode(build.path('src/cli.js'), args),
    ];
    const { findings } = JSON.parse(json.stdout) as { findings: Finding[] };
    return { folder, json, text, findings, find: (check: string) => findings.find((one) => one.check === check) };
  };

  it('tries everything, says what to do, and shows no secret', async () => {
    const { findings, find, json, text } = await doctor({ '.env': valid });
    expect(json.code).toBe(1);
    expect(text.code).toBe(1);
    expect(find('Configuration')).toMatchObject({ verdict: 'ok' });
    expect(find('Data folder')).toMatchObject({ verdict: 'ok' });
    expect(find('Mail')).toMatchObject({ verdict: 'failed', remedy: expect.any(String) });
    expect(find('pve1: SSH key')).toMatchObject({
      verdict: 'failed',
      remedy: expect.stringContaining('host install pve1'),
    });
    expect(find('pve1: SSH login')).toMatchObject({ verdict: 'skipped' });
    for (const { check, verdict, remedy } of findings) {
      if (verdict === 'failed' || verdict === 'warning') expect(remedy, check).toMatch(/\S/);
    }
    expect(text.stdout).toMatch(/^ {2}FAILED {4}Mail: .+\n {12}Tried: .+\n {12}To do: .+$/m);
    expect(text.stdout).toMatch(/^ {2}ok {8}Configuration: valid, in /m);
    expect(text.stdout).toMatch(/\n\n\d+ ok, \d+ to look at, \d+ failed, \d+ skipped\.\n$/);
    for (const output of [json.stdout, json.stderr, text.stdout, text.stderr]) {
      expect(output).not.toContain(token);
      expect(output).not.toContain(password);
    }
  });

  it('goes on with a configuration that has problems', async () => {
    const { find, findings } = await doctor({ '.env': `${valid}\nSSH_USR=x` });
    expect(find('SSH_USR (.env:20)')).toMatchObject({ verdict: 'failed', remedy: 'Did you mean SSH_USER?' });
    expect(find('Configuration')).toBeUndefined();
    expect(findings.length).toBeGreaterThan(8);
  });

  it('sees open keys and folders', async () => {
    const { find } = await doctor(
      { '.env': `${valid}SSH_KEY_PATH=key`, key: '-----BEGIN OPENSSH PRIVATE KEY-----' },
      (folder) => {
        chmodSync(join(folder, 'key'), 0o644);
        mkdirSync(join(folder, 'data'));
        chmodSync(join(folder, 'data'), 0o777);
      },
    );
    expect(find('pve1: SSH key')).toMatchObject({ verdict: 'failed', remedy: expect.stringContaining('chmod 600') });
    expect(find('Data folder')).toMatchObject({ verdict: 'warning', remedy: expect.stringContaining('chmod 700') });
  });

  it('gives up on what never answers, side by side', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    onTestFinished(() => void silent.close());
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number };
    const { find } = await doctor({
      '.env': valid.replace('SMTP_PORT=1', `SMTP_PORT=${port}`).replace('MCP_PORT=2', `MCP_PORT=${port}`),
    });
    expect(find('Mail')).toMatchObject({ verdict: 'failed', summary: expect.stringContaining('no answer within 5 s') });
    expect(find('MCP server')).toMatchObject({ verdict: 'failed' });

    const begun: string[] = [];
    const never = (name: string) => ({
      check: name,
      tried: 'wait',
      run: () => {
        begun.push(name);
        return new Promise<never>(() => undefined);
      },
    });
    const outcomes = runChecks([never('a'), never('b')], 50);
    expect(begun).toEqual(['a', 'b']);
    expect((await outcomes).map(({ verdict }) => verdict)).toEqual(['failed', 'failed']);
  });
});
