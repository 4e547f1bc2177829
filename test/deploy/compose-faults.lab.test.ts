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

  /** How a run ended; with all that is known of it where it isn't done. */
  async function outcome(id: string): Promise<string> {
    const deadline = Date.now() + 240_000;
    for (;;) {
      const { stdout, stderr } = await cli('runs', 'get', id, '--json');
      const [, state = ''] = /"state":\s*"([\w-]+)"/.exec(stdout) ?? [];
      if (state !== '' && state !== 'running') return state === 'done' ? state : `${state}: ${stdout}`;
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

  it('a second MCP server takes over while clients go on, and is Compose’s own', { timeout: 600_000 }, async () => {
    const folder = '/opt/proxmox-mcp';
    const [, tag = ''] = /^IMAGE_TAG=(.*)$/m.exec(await host.must(['cat', `${folder}/.env`])) ?? [];
    await host.must(['docker', 'tag', `proxmox-mcp-server:${tag}`, 'proxmox-mcp-server:next']);
    await host.must(['sed', '-i', 's/^IMAGE_TAG=.*/IMAGE_TAG=next/', `${folder}/.env`]);
    const before = await container('mcp-server');
    // A request after the other, until it is told to end: the answers by their status.
    const asking = host.exec(
      [
        'sh',
        '-c',
        'while [ ! -e /root/enough ]; do curl --silent --max-time 15 --output /dev/null --write-out "%{http_code}\\n" http://localhost:8080/livez; done',
      ],
      { timeoutMs: 300_000 },
    );
    const replaced = await host.exec(['/usr/local/lib/proxmox-mcp/replace-server.sh'], { timeoutMs: 240_000 });
    await host.must(['touch', '/root/enough']);
    const answers = (await asking).stdout.trim().split('\n');
    expect([replaced.exitCode, replaced.stdout], replaced.stderr).toEqual([
      0,
      'proxmox-mcp-server is of proxmox-mcp-server:next now.\n',
    ]);
    expect(answers.length).toBeGreaterThan(50);
    expect([...new Set(answers)]).toEqual(['200']);
    const after = await container('mcp-server');
    expect(after).not.toBe(before);
    const listed = await deployment.compose([
      'ps',
      '--all',
      '--format',
      '{{.Service}} {{.Name}} {{.Image}}',
      'mcp-server',
    ]);
    expect(listed).toBe('mcp-server proxmox-mcp-server proxmox-mcp-server:next\n');
    // The others, which are of the old image, are made anew; it isn't.
    await deployment.compose(['up', '--detach', '--wait'], { timeoutMs: 300_000 });
    expect(await container('mcp-server')).toBe(after);
    const again = await host.exec(['/usr/local/lib/proxmox-mcp/replace-server.sh']);
    expect([again.exitCode, again.stdout]).toEqual([0, 'It is of proxmox-mcp-server:next already.\n']);
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
      // As `host install` and `config move-secrets` make them for another host, Grafana and Temporal Cloud.
      for (const [name, owner, mode] of [
        ['keys/pve9-api-token', '10002:10000', '600'],
        ['keys/mcp/pve9-api-token', '10001:10000', '600'],
        ['secrets/grafana-password', '472:472', '600'],
        ['secrets/shared/temporal-api-key', '0:10000', '640'],
      ] as const) {
        const path = `/opt/proxmox-mcp/${name}`;
        await host.must(['sh', '-euc', `echo x >${path}; chown ${owner} ${path}; chmod ${mode} ${path}`]);
      }
      const readable: Record<string, string> = {};
      // By their names, too: the folder of secrets may not be listed.
      const script = `for file in $(find /opt/proxmox-mcp/keys /opt/proxmox-mcp/secrets /run/secrets -type f 2>/dev/null) \\
          /opt/proxmox-mcp/secrets/shared/temporal-api-key /opt/proxmox-mcp/secrets/grafana-password \\
          /opt/proxmox-mcp/secrets/postgres_password /opt/proxmox-mcp/secrets/temporal_password; do
        head -c 1 "$file" >/dev/null 2>&1 && echo "$file"; done | sort -u`;
      for (const service of longLived) readable[service] = (await inside(service, script)).stdout.trim();
      expect(readable).toMatchObject({
        caddy: '',
        ledger: '/opt/proxmox-mcp/secrets/shared/temporal-api-key',
        'mcp-server': '/opt/proxmox-mcp/keys/mcp/pve9-api-token\n/opt/proxmox-mcp/secrets/shared/temporal-api-key',
        postgres: '/run/secrets/postgres_password',
        temporal: '/run/secrets/temporal_password',
        'temporal-ui': '',
      });
      expect(readable.worker).toContain('claude_proxmox_key');
      expect(readable.worker).toContain('keys/pve9-api-token');
      expect(readable.worker).toContain('secrets/shared/temporal-api-key');
      expect(readable.worker).not.toMatch(/password|keys\/mcp/);
    });

    it('the worker’s key is no way to files of the host, nor further', async () => {
      const folder = '/opt/proxmox-mcp/keys';
      // As somebody would who has taken the key out of the container, from an address that it counts from.
      const ssh: readonly [string, ...string[]] = [
        'ssh',
        ...['-i', `${folder}/claude_proxmox_key`, '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10'],
        ...['-o', `UserKnownHostsFile=${folder}/known_hosts`, 'claude-user@172.20.1.1'],
      ];
      expect((await host.exec([...ssh, 'id', '-un'])).stdout).toBe('claude-user\n');
      for (const attempt of [
        'cat /etc/shadow',
        'sudo -n cat /etc/shadow',
        'sudo -n sh -c id',
        'sudo -n tee /etc/sudoers.d/x </dev/null',
        'cat /opt/proxmox-mcp/.env',
        'cat /opt/proxmox-mcp/keys/pve9-api-token',
        'cat /opt/proxmox-mcp/secrets/postgres_password',
        'ls /var/lib/docker',
        'docker ps',
        'echo x >>.ssh/authorized_keys',
      ]) {
        const { exitCode, stdout } = await host.exec([...ssh, attempt]);
        expect([exitCode === 0, stdout], attempt).toEqual([false, '']);
      }
      const further = await host.exec([...ssh, '-W', '127.0.0.1:22']);
      expect([further.exitCode === 0, further.stdout]).toEqual([false, '']);
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

  // The last: it takes all of them away.
  it('all that the service knows is moved out of containers and into new ones', { timeout: 1_200_000 }, async () => {
    const folder = '/opt/proxmox-mcp';
    const moved = `${folder}/moved`;
    const there = (command: string) => host.must(['sh', '-euc', `cd ${folder}; ${command}`], { timeoutMs: 600_000 });
    await host.writeFile(`${folder}/policy.yaml`, 'rules: []\n', { mode: 0o600 });
    await there('proxmox-mcp token create mover --scope read');
    const id = await start('check-health');
    expect(await outcome(id)).toBe('done');
    const listed = async () => JSON.parse(await there('proxmox-mcp token list --json')) as readonly { name: string }[];
    const schedules = async () =>
      (JSON.parse(await there('proxmox-mcp schedules list --json')) as readonly { id: string; paused: boolean }[])
        .map(({ id: name, paused }) => `${name} ${paused}`)
        .sort();
    const before = await schedules();

    const all = await cli('move', 'export', moved);
    expect(all.exitCode).not.toBe(0);
    expect(all.stderr).toContain('--skip ledger');
    const told = await cli('move', 'export', moved, '--skip', 'ledger');
    expect(told.exitCode, told.stderr).toBe(0);
    const command = /docker compose run .* --only ledger/.exec(told.stderr)?.[0] ?? told.stderr;
    await there('systemctl stop proxmox-mcp');
    expect(await there(command)).toMatch(/ledger +\d+ records/);

    // Another machine: nothing of it is there but what was brought.
    const tag = (await there('sed -n s/^IMAGE_TAG=//p .env')).trim();
    await there('docker compose --profile tools down --volumes; rm policy.yaml');
    await there(`/srv/sources/install.sh --yes --no-start --image ${tag}`);
    await there('docker compose run --rm volumes; docker compose up --detach --wait temporal');
    await there(`proxmox-mcp move import ${moved} --skip ledger`);
    expect(await there(command.replace('move export', 'move import'))).toMatch(/ledger +\d+ records/);
    await there(`/srv/sources/install.sh --yes --image ${tag}`);
    await untilHealthy();
    expect((await there('stat -c "%U:%g %a" policy.yaml')).trim()).toBe('root:10000 640');
    expect((await listed()).map(({ name }) => name)).toContain('mover');
    expect(await outcome(id)).toBe('done');
    await expect.poll(schedules, { timeout: 60_000, interval: 2_000 }).toEqual(before);
    expect(await there('proxmox-mcp ledger verify')).toMatch(/records/);
    // The policy can be read by who judges by it. An empty volume that was none in the last backup would be doubted: that of
    // Caddy's log is new here.
    for (let asked = 0; asked < 5; asked += 1) await there('curl --silent --fail http://localhost:8080/health');
    expect(await outcome(await start('back-up'))).toBe('done');
    await there('systemctl is-enabled proxmox-mcp proxmox-mcp-watch.timer');
  });
});
