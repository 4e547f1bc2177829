import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { runCli } from '../../src/cli/program.ts';
import { configurationFolder } from '../config/folder.ts';

let simulator: ProxmoxSimulator;

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 0 });
  const files = simulator.state.guests.get(100);
  if (files) Object.assign(files, { tags: 'prod;office' });
  const proxy = simulator.state.guests.get(102);
  if (proxy) Object.assign(proxy, { tags: 'office' });
});

afterAll(() => simulator.close());

/** What a command line prints, and how it ends. */
async function cli(...args: string[]) {
  const { full } = simulator.tokens;
  const api = (port: number) =>
    `{ PROXMOX_HOST: 127.0.0.1, PROXMOX_PORT: ${port}, PROXMOX_USER: ${full.user}, PROXMOX_TOKEN_NAME: ${full.name}, PROXMOX_TOKEN_VALUE: ${full.secret}, PROXMOX_FINGERPRINT: "${simulator.certificateFingerprint}" }`;
  const away = args.includes('--with-away') ? `\n  away: ${api(1)}` : '';
  const folder = configurationFolder({ 'hosts.yaml': `hosts:\n  pve1: ${api(simulator.port)}${away}\n` });
  let [stdout, stderr] = ['', ''];
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  try {
    const given = args.filter((arg) => arg !== '--with-away');
    const code = await runCli(['--config-dir', folder, '--set', `DATA_DIR=${folder}`, ...given]);
    return { code, stdout, stderr };
  } finally {
    out.mockRestore();
    err.mockRestore();
    for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error');
  }
}

describe('npx proxmox-mcp guests', () => {
  it('prints a table of all guests, with the same filters as the tool', async () => {
    const { code, stdout, stderr } = await cli('guests');
    expect(code).toBe(0);
    expect(stdout.split('\n').slice(0, 3)).toEqual([
      expect.stringMatching(/^VMID +NAME +KIND +STATE +NODE +CPU +MEMORY +DISK +UPTIME +TAGS$/),
      expect.stringMatching(/^100 +files +vm +running +pve1 .* prod office$/),
      expect.stringMatching(/^101 +dns +container +running +pve2 /),
    ]);
    expect(stderr).toBe('4 guests: 2 running, 2 stopped.\n');
    const some = await cli('guests', '--tag', 'office', '--state', 'stopped');
    expect(some.stdout).toMatch(/^VMID.*\n102 +proxy/);
    expect(some.stderr).toBe('1 of 4 guests: 1 stopped.\n');
  });

  it('goes on where it ended, and gives JSON to programs', async () => {
    const first = await cli('guests', '--limit', '3', '--json');
    const { cursor, rows } = JSON.parse(first.stdout);
    expect(rows).toHaveLength(3);
    expect((await cli('guests', '--limit', '3', '--cursor', cursor)).stdout).toMatch(/^VMID.*\n120 +workstation/);
    const wrong = await cli('guests', '--cursor', 'x');
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('cursor: "x" is none that an answer gave');
  });

  it('names a cluster that is away, shows the rest, and ends with an error', async () => {
    const { code, stdout, stderr } = await cli('guests', '--with-away');
    expect(stdout).toContain('files');
    expect(stderr).toMatch(/away \(away\) was not asked, and its guests are missing here: .*ECONNREFUSED/);
    expect(code).toBe(1);
  });
});

describe('npx proxmox-mcp guest', () => {
  it('shows a guest by its name', async () => {
    const { code, stdout } = await cli('guest', 'Files', '--include', 'config', 'snapshots', 'backups', 'addresses');
    expect(code).toBe(0);
    for (const part of [
      /^vmid +100$/m,
      /^state +running$/m,
      /^tags +prod, office$/m,
      /^CONFIG\n/m,
      /^ +memory +2048$/m,
      /^SNAPSHOTS\n +count +0$/m,
      /^BACKUPS\n/m,
      /VOLUME/,
      /^ADDRESSES\n +from +configuration/m,
      /net0 +BC:24:11/,
    ])
      expect(stdout).toMatch(part);
  });

  it('names the candidates, and the nearest, for a person', async () => {
    const several = await cli('guest', 'office');
    expect(several.code).toBe(1);
    expect(several.stderr).toContain(
      '"office" could be 2 guests: VM 100 (files) on pve1, running; container 102 (proxy)',
    );
    expect(several.stderr).toContain('Name the one that you mean by its number');
    expect((await cli('guest', 'filse')).stderr).toContain('The nearest are: VM 100 (files)');
    expect((await cli('guest', 'files', '--include', 'nothing')).code).toBe(2);
  });
});
