import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { type Deployment, deploy, longLived } from '../support/deployment.ts';
import { exhaustive } from '../support/exhaustive.ts';

// What becomes of runs when containers die, and what somebody can do who has taken one over. Each test begins with all of it
// healthy. Minutes, so in the exhaustive form alone.
describe.skipIf(whyNoLab() || !exhaustive)('the containers', () => {
  let host: LabHost;
  let deployment: Deployment;

  beforeAll(
    async () => {
      host = await startLabHost({ debian: 'trixie', docker: true });
      deployment = await deploy(host);
      // It would mend what is broken here.
      await host.must(['systemctl', 'stop', 'proxmox-mcp-watch.timer']);
    },
    startTimeoutMs + 10 * 60_000,
  );
  afterAll(() => host?.stop(), 120_000);
  beforeEach(() => untilHealthy(), 300_000);

  async function untilHealthy(): Promise<void> {
    await expect
      .poll(() => deployment.states().catch(() => ({})), { timeout: 240_000, interval: 2_000 })
      .toEqual(Object.fromEntries(longLived.map((name) => [name, 'running healthy'])));
  }

  const container = async (service: string) =>
    (await deployment.compose(['ps', '--quiet', service])).trim().split('\n')[0] ?? '';

  const cli = (...args: readonly string[]) =>
    host.exec(['/usr/local/bin/proxmox-mcp', ...args], { timeoutMs: 120_000 });

  /** Starts a run without waiting for it; its id. */
  async function start(operation: string): Promise<string> {
    const { stdout, stderr } = await cli(operation, '--host', 'this', '--no-wait', '--json');
    const id = /"id":\s*"([^"]+)"/.exec(stdout)?.[1];
    if (id === undefined) throw new Error(`no run: ${stdout}${stderr}`);
    return id;
  }

  /** How a run ended. */
  async function outcome(id: string): Promise<string> {
    const deadline = Date.now() + 240_000;
    for (;;) {
      const { stdout, stderr } = await cli('runs', 'get', id, '--json');
      const [, state = ''] = /"state":\s*"([\w-]+)"/.exec(stdout) ?? [];
      if (state !== '' && state !== 'running') return state;
      if (Date.now() > deadline) return `still ${state}: ${stdout}${stderr}`;
      await sleep(2_000);
    }
  }

  it.each(longLived)(
    'a run ends as it should when %s is killed in the middle of it',
    { timeout: 600_000 },
    async (service) => {
      const id = await start('back-up');
      const of = await container(service);
      const ask = async (what: string) => (await host.must(['docker', 'inspect', '--format', what, of])).trim();
      const before = await ask('{{.RestartCount}}');
      // Past Docker, which would take it for a stop by hand.
      await host.must(['kill', '-9', await ask('{{.State.Pid}}')]);
      await expect.poll(() => ask('{{.RestartCount}}'), { timeout: 60_000 }).not.toBe(before);
      await untilHealthy();
      expect(await outcome(id)).toBe('done');
    },
  );

  it('nothing is lost when the database is away for a minute, and health says so', { timeout: 600_000 }, async () => {
    const id = await start('back-up');
    await deployment.compose(['stop', 'postgres']);
    const health = () => host.exec(['curl', '--silent', '--max-time', '20', 'http://localhost:8080/health']);
    await expect
      .poll(async () => (await health()).stdout, { timeout: 50_000, interval: 2_000 })
      .toMatch(/"status":"(?!healthy)/);
    await sleep(60_000);
    await deployment.compose(['start', 'postgres']);
    await untilHealthy();
    expect(await outcome(id)).toBe('done');
    await expect.poll(async () => (await health()).stdout, { timeout: 60_000 }).toContain('"status":"healthy"');
  });

  describe('one that is taken over', () => {
    /** Where each may write, beside the folders in memory that end with it. */
    const writable: Readonly<Record<string, readonly string[]>> = {
      caddy: ['/config', '/data', '/var/log/proxmox-mcp'],
      ledger: ['/var/lib/proxmox-mcp/ledger'],
      'mcp-server': ['/var/lib/proxmox-mcp/access'],
      postgres: ['/var/lib/postgresql/data'],
      temporal: [],
      'temporal-ui': [],
      worker: ['/var/lib/proxmox-mcp/worker'],
    };
    const inside = async (service: string, script: string) =>
      host.exec(['docker', 'exec', await container(service), 'sh', '-c', script]);

    it.each(longLived)('%s has no right of root, and can get none', async (service) => {
      const { stdout } = await inside(service, 'grep -E "^(Cap(Prm|Eff|Amb)|NoNewPrivs|Uid)" /proc/self/status');
      expect(stdout).toMatch(/Uid:\s+(?!0\s)\d+/);
      expect(stdout.match(/Cap\w+:\s+0+$/gm)).toHaveLength(3);
      expect(stdout).toMatch(/NoNewPrivs:\s+1/);
      for (const attempt of ['mount -t tmpfs none /tmp', 'chroot / true', 'mknod /tmp/disk b 254 0']) {
        expect((await inside(service, attempt)).exitCode, attempt).not.toBe(0);
      }
    });

    it.each(longLived)('%s sees no Docker, and writes only into its volumes', async (service) => {
      const { stdout: sockets } = await inside(
        service,
        'find / -xdev -name "docker*.sock" 2>/dev/null; ls /run/docker* 2>/dev/null; true',
      );
      expect(sockets).toBe('');
      const { stdout: mounts } = await inside(service, 'cat /proc/mounts');
      const open = mounts
        .trim()
        .split('\n')
        .map((line) => line.split(' '))
        .filter(
          ([, , kind = '', options = '']) =>
            /(^|,)rw(,|$)/.test(options) && !/^(proc|sysfs|tmpfs|devpts|mqueue|cgroup2?)$/.test(kind),
        )
        .map(([, place = '']) => place)
        // Docker's own, of which a process without rights can write none.
        .filter((place) => !/^\/etc\/(hosts|hostname|resolv\.conf)$/.test(place));
      expect(open.sort()).toEqual(writable[service]);
      for (const place of ['/', '/etc', '/app', '/opt/proxmox-mcp', '/usr/bin', '/etc/hosts']) {
        const write = `{ if [ -d ${place} ]; then touch ${place}/x; else echo x >>${place}; fi; } 2>/dev/null`;
        expect((await inside(service, `[ ! -e ${place} ] || ! ${write}`)).exitCode, place).toBe(0);
      }
    });

    it('each reads the keys and passwords that are its own, and no other', async () => {
      const readable: Record<string, string> = {};
      const script = `for file in $(find /opt/proxmox-mcp/keys /opt/proxmox-mcp/secrets /run/secrets -type f 2>/dev/null); do
        head -c 1 "$file" >/dev/null 2>&1 && echo "$file"; done; true`;
      for (const service of longLived) readable[service] = (await inside(service, script)).stdout.trim();
      expect(readable).toMatchObject({
        caddy: '',
        ledger: '',
        'mcp-server': '',
        postgres: '/run/secrets/postgres_password',
        temporal: '/run/secrets/temporal_password',
        'temporal-ui': '',
      });
      expect(readable.worker).toContain('claude_proxmox_key');
      expect(readable.worker).not.toMatch(/password/);
    });

    it('each reaches the others that it works with, and no other', async () => {
      // A name that another network has is not even known.
      for (const [service, other, port] of [
        ['caddy', 'temporal', 7233],
        ['caddy', 'postgres', 5432],
        ['temporal-ui', 'postgres', 5432],
      ] as const) {
        expect((await inside(service, `nc -z -w 3 ${other} ${port}`)).exitCode, `${service} to ${other}`).not.toBe(0);
      }
      const connect = (other: string, port: number) =>
        `node -e 'require("net").connect(${port},"${other}").on("connect",()=>process.exit(0)).on("error",()=>process.exit(1))'`;
      expect((await inside('worker', connect('postgres', 5432))).exitCode).toBe(1);
      expect((await inside('mcp-server', connect('postgres', 5432))).exitCode).toBe(1);
      expect((await inside('worker', connect('temporal', 7233))).exitCode).toBe(0);
    });
  });
});
