import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoSandbox } from '../hosts/helper/sandbox/sandbox.ts';
import { sample } from '../support/exhaustive.ts';
import { type Machine, startMachine } from './machine.ts';

const home = '/opt/proxmox-mcp';
const everything = `cd /; find opt/proxmox-mcp usr/local/lib/proxmox-mcp usr/local/bin etc/systemd/system var/lib/proxmox-mcp-recovery -printf '%p %y %m %U:%G %l\\n' 2>/dev/null | sort
  find opt/proxmox-mcp etc/systemd/system usr/local/lib/proxmox-mcp -type f -print0 2>/dev/null | sort -z | xargs -0r sha256sum`;

describe.skipIf(whyNoSandbox())('install.sh with Docker Compose, everything but Docker and systemd being real', () => {
  let machine: Machine;
  let sources: string;
  let bare: string;

  beforeAll(async () => {
    // A copy: the checkout may be below the sandbox's own /tmp.
    const root = join(import.meta.dirname, '../..');
    sources = mkdtempSync(join(tmpdir(), 'pmx-install-'));
    for (const part of [
      'install.sh',
      'deploy',
      'docker-compose.yml',
      'Dockerfile',
      'package.json',
      'package-lock.json',
      'LICENSE',
    ])
      cpSync(join(root, part), join(sources, part), { recursive: true });
    machine = await startMachine({ bring: { [sources]: '/srv/sources' }, docker: true });
    await machine.standIn('nproc', '#!/bin/sh\ncat /stand-in/nproc 2>/dev/null || echo 4\n');
    rmSync(sources, { recursive: true });
    await machine.root(
      'mkdir -p /etc/ssh; [ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key',
    );
    bare = await machine.root(everything);
  });
  afterAll(() => machine?.close());

  const install = async (...options: string[]) => machine.run(['/srv/sources/install.sh', ...options]);
  const must = async (...options: string[]) => {
    const { code, stdout, stderr } = await install('--yes', ...options);
    expect(code, stdout + stderr).toBe(0);
    return stdout;
  };

  it('says what it would do, and does nothing', async () => {
    const { stdout, code, stderr } = await install('--dry-run', '--mail', 'anna@example.org', '--monitoring', 'yes');
    expect(code, stderr).toBe(0);
    for (const part of [
      'build the image proxmox-mcp-server:0.1.0-',
      'make the password of the database',
      `write ${home}/.env (mode 640, owner root:10000)`,
      'host install this --local',
      'systemctl restart proxmox-mcp',
    ])
      expect(stdout).toContain(part);
    expect(await machine.root(everything)).toBe(bare);
    expect(await machine.calls()).toEqual([]);
  });

  it('asks nothing of Docker without Docker, and says what is not to be had then', async () => {
    await machine.standIn('node', `#!/bin/sh\nexec '${process.execPath}' "$@"\n`);
    await machine.standIn('npm', '#!/bin/sh\n');
    await machine.root(
      'mv /usr/sbin/docker /stand-in/docker.sh; printf "#!/bin/sh\\nexit 1\\n" >/usr/sbin/docker; chmod 755 /usr/sbin/docker',
    );
    const { stdout, code, stderr } = await install('--without-docker', '--dry-run');
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('put it in /opt/proxmox-mcp/app');
    const domain = await install('--without-docker', '--dry-run', '--domain', 'mcp.example.org');
    expect([domain.code, domain.stderr]).toEqual([2, expect.stringContaining('--domain needs Caddy')]);
    await machine.root('mv /stand-in/docker.sh /usr/sbin/docker; rm /usr/sbin/node /usr/sbin/npm');
    expect(await machine.root(everything)).toBe(bare);
  });

  it('changes nothing where nobody can be asked', async () => {
    const { code, stderr } = await install();
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining('nobody can be asked (no terminal), so nothing was changed'),
    ]);
    expect(await machine.root(everything)).toBe(bare);
  });

  it.each([
    ['--network', '8.8', 'private network'],
    ['--mail', 'nobody', 'is no address'],
    ['--domain', 'a b', 'is no name'],
    ['--monitoring', 'maybe', 'yes or no'],
    ['--image', '../x', 'is no tag'],
    ['--nonsense', 'x', 'is no option'],
  ])('refuses %s %s', async (option, value, said) => {
    const { code, stderr } = await install('--dry-run', option, value);
    expect([code, stderr]).toEqual([2, expect.stringContaining(said)]);
  });

  it('installs: image, files, secrets, this machine as a host, unit and timer', async () => {
    await must('--mail', 'anna@example.org', '--smtp', 'mail.example.org', '--monitoring', 'yes');
    const calls = await machine.calls();
    const image = /^docker build (proxmox-mcp-server:0\.1\.0-[0-9a-f]{10})$/.exec(calls[0] ?? '')?.[1];
    const pulled = calls.filter((call) => call.startsWith('docker pull '));
    expect(pulled).toHaveLength(10);
    expect(pulled.join()).toContain('grafana/alloy');
    expect(calls.slice(1).filter((call) => !pulled.includes(call))).toEqual([
      'systemctl daemon-reload',
      'docker compose up --no-start',
      expect.stringMatching(/^proxmox-mcp host install this --local --from 172\.20\.1\.0\/24(,[0-9.]+)* --yes$/),
      'systemctl enable proxmox-mcp',
      'systemctl restart proxmox-mcp',
      'systemctl enable --now proxmox-mcp-watch.timer',
    ]);
    expect(await machine.read(`${home}/.env`)).toBe(
      `# Proxmox MCP on this machine. Every key: docs/configuration.md
HOST_NAME=this
SSH_HOST=172.20.1.1
SSH_USER=claude-user
SSH_KEY_PATH=/opt/proxmox-mcp/keys/claude_proxmox_key
SSH_KNOWN_HOSTS=/opt/proxmox-mcp/keys/known_hosts
IMAGE_TAG=${image?.split(':')[1]}
NETWORK_PREFIX=172.20
ENABLE_MONITORING=true
GRAFANA_PASSWORD_FILE=./secrets/grafana-password
SMTP_HOST=mail.example.org
MAIL_TO=anna@example.org
MAIL_FROM=Proxmox MCP <anna@example.org>
`,
    );
    const modes = await machine.root(
      `cd ${home}; stat -c '%n %a %u:%g' .env keys keys/mcp secrets secrets/* docker-compose.yml caddy/start.sh`,
    );
    expect(modes.trim().split('\n')).toEqual([
      '.env 640 0:10000',
      'keys 700 10002:10000',
      'keys/mcp 700 10001:10000',
      'secrets 711 0:0',
      'secrets/grafana-password 600 472:472',
      'secrets/postgres_password 600 999:999',
      'secrets/shared 750 0:10000',
      'secrets/temporal_password 600 1000:1000',
      'docker-compose.yml 644 0:0',
      'caddy/start.sh 755 0:0',
    ]);
    const [one, two] = await Promise.all(
      ['postgres', 'temporal'].map((name) => machine.read(`${home}/secrets/${name}_password`)),
    );
    expect(one).toMatch(/^[0-9a-f]{48}$/);
    expect(two).toBe(one);
    const report = await machine.root(`cat ${home}/installation-report-*.md`);
    for (const part of [
      '| kind | compose |',
      '| Docker | 26.1.5, Compose 2.26.1 |',
      `\`${image}\` | \`sha256:`,
      '| `grafana/loki:',
      `- write ${home}/.env (mode 640, owner root:10000)`,
      `- write ${home}/keys/known_hosts`,
      'first a tunnel, for the page too: `ssh -N -L 8080:127.0.0.1:8080 -L 8233:127.0.0.1:8233 USER@',
      'claude mcp add --transport http proxmox http://127.0.0.1:8080/api/mcp',
      '/etc/systemd/system/proxmox-mcp.service` | 644 | root:root',
    ])
      expect(report).toContain(part);
    const password = await machine.read(`${home}/secrets/grafana-password`);
    expect(password).toMatch(/^[0-9a-f]{24}$/);
    expect(report).not.toContain(one);
    expect(report).not.toContain(password);
  });

  it('finds nothing to do the second time, and restarts nothing', async () => {
    const before = await machine.root(everything);
    expect(await must()).toContain('nothing has changed');
    expect(await machine.root(everything)).toBe(before);
    expect(
      (await machine.calls()).filter((call) => !/^docker compose up --no-start|^proxmox-mcp host install/.test(call)),
    ).toEqual([]);
  });

  it('keeps what somebody changed by hand beside the new one, and updates what the sources bring', async () => {
    await machine.root(
      `echo '# mine' >>${home}/caddy/Caddyfile; echo '# newer' >>/srv/sources/docker-compose.yml; echo 'LOG_LEVEL=DEBUG' >>${home}/.env`,
    );
    const said = await must();
    expect(said).toMatch(/keep your .*Caddyfile as caddy\/Caddyfile\.before-/);
    expect(said).toContain(`write ${home}/docker-compose.yml`);
    expect(said).toContain('systemctl restart proxmox-mcp');
    expect(await machine.read(`${home}/.env`)).toContain('LOG_LEVEL=DEBUG');
    expect(await machine.root(`tail -n 1 ${home}/caddy/Caddyfile.before-*`)).toBe('# mine\n');
    await machine.calls();
  });

  it('has secrets that stand in .env moved into files, by the program itself', async () => {
    await machine.root(`echo 'PROXMOX_TOKEN_VALUE=11111111-2222' >>${home}/.env`);
    const said = await must();
    expect(said).toContain('move PROXMOX_TOKEN_VALUE out of .env');
    expect(said).not.toContain('11111111');
    const calls = await machine.calls();
    expect(calls.indexOf('proxmox-mcp config move-secrets')).toBe(0);
    expect(calls).toContain('systemctl restart proxmox-mcp');
    await machine.root(`sed -i /PROXMOX_TOKEN_VALUE/d ${home}/.env`);
    expect(await machine.root(`ls -d ${home}/.program* 2>/dev/null || :`)).toBe('');
  });

  it('does what an option says on an installation that is there, and starts it anew', async () => {
    await machine.write('/stand-in/docker/networks', 'proxmox-mcp_back 172.20.1.0/24\n');
    await must();
    expect((await machine.calls()).join()).not.toContain('network rm');
    await machine.root(`echo 'proxmox-mcp-server-1' >/stand-in/docker/containers`);
    const said = await must('--network', '172.29', '--smtp', 'other.example.org', '--mail', 'anna@example.org');
    expect(said).toContain(`write ${home}/.env`);
    expect(said).toContain('write the report');
    const env = await machine.read(`${home}/.env`);
    for (const line of ['NETWORK_PREFIX=172.29', 'SSH_HOST=172.29.1.1', 'SMTP_HOST=other.example.org'])
      expect(env).toContain(`${line}\n`);
    expect(await machine.read(`${home}/keys/known_hosts`)).toMatch(/^172\.29\.1\.1 ssh-/m);
    // Docker makes no network that overlaps another, and Compose may leave one as it is.
    const calls = (await machine.calls()).filter((call) => !/^docker pull|host install|daemon-reload/.test(call));
    expect(calls).toEqual([
      'docker container stop proxmox-mcp-server-1',
      'docker container rm --force proxmox-mcp-server-1',
      'docker network rm proxmox-mcp_back',
      'docker compose up --no-start',
      'systemctl restart proxmox-mcp',
    ]);
    await machine.root('rm /stand-in/docker/containers');
  });

  it('restarts what an earlier run with --no-start has changed', async () => {
    await machine.root(`echo '# newer' >>/srv/sources/docker-compose.yml`);
    await must('--no-start');
    expect((await machine.calls()).join()).not.toContain('systemctl restart');
    await must();
    expect(await machine.calls()).toContain('systemctl restart proxmox-mcp');
    expect(await must()).toContain('nothing has changed');
    await machine.calls();
  });

  it('lets no container have more processors than there are, which Docker would refuse', async () => {
    await machine.write('/stand-in/nproc', '1\n');
    await machine.root(`echo MCP_CPUS=1.5 >>${home}/.env; echo LEDGER_CPUS=0 >>${home}/.env`);
    await must();
    const env = await machine.read(`${home}/.env`);
    expect(env.split('\n').filter((line) => line.includes('_CPUS'))).toEqual([
      'MCP_CPUS=1.0',
      'LEDGER_CPUS=0',
      'POSTGRES_CPUS=1.0',
      'TEMPORAL_CPUS=1.0',
      'WORKER_CPUS=1.0',
    ]);
    await machine.root('rm /stand-in/nproc');
    await machine.calls();
  });

  it('names the key of an image that can’t be had, before it stops anything', async () => {
    await machine.root(`: >/stand-in/no-pull; echo CADDY_IMAGE=registry.example.org/caddy:2 >>${home}/.env`);
    const { code, stderr } = await install('--yes');
    expect(code).toBe(1);
    expect(stderr).toContain(
      `registry.example.org/caddy:2 could not be pulled: Error response from daemon: manifest for registry.example.org/caddy:2 not found: manifest unknown. CADDY_IMAGE in ${home}/.env names it: correct that, or take the line out for caddy:2.`,
    );
    expect((await machine.calls()).filter((call) => !call.startsWith('docker pull'))).toEqual([]);
    await machine.root(`rm /stand-in/no-pull; sed -i /CADDY_IMAGE/d ${home}/.env`);
    await must();
    await machine.calls();
  });

  it.each([
    ['another unit', 'etc/systemd/system/proxmox-mcp.service', '[Service]\nExecStart=/bin/other\n', 'stop and remove'],
    ['another command', 'usr/local/bin/proxmox-mcp', '#!/bin/sh\n', 'move it away first'],
  ])('refuses %s of the name before it changes anything', async (_, path, text, remedy) => {
    await machine.root(`cp -p /${path} /stand-in/kept; echo '# newer' >>/srv/sources/deploy/caddy/Caddyfile`);
    await machine.write(`/${path}`, text);
    const before = await machine.root(everything);
    const { code, stderr } = await install('--yes', '--monitoring', 'no');
    expect([code, stderr]).toEqual([2, expect.stringContaining(`/${path} is of something else: ${remedy}`)]);
    expect(await machine.root(everything)).toBe(before);
    expect(await machine.calls()).toEqual([]);
    await machine.root(`mv /stand-in/kept /${path}`);
  });

  it('looks at what was typed, too, before it changes anything', async () => {
    await must('--uninstall');
    await machine.calls();
    const before = await machine.root(everything);
    const said = await machine.run(['script', '-qec', '/srv/sources/install.sh', '/dev/null'], {
      stdin: 'anna@example.org\nnone\nnobody.invalid\nno\n',
    });
    expect(said.stdout).toContain('DNS: the name nobody.invalid has no address');
    expect(said.stdout).toContain('nothing was changed');
    expect(await machine.root(everything)).toBe(before);
  });

  it('upgrades the administrator’s guide’s own: its network goes, its key is the worker’s', async () => {
    await machine.root(`mkdir -p ${home}/keys; echo private >${home}/keys/claude_proxmox_key; chmod 600 ${home}/keys/*
      printf '[Service]\nExecStart=/usr/local/bin/docker-compose up -d\n' >/etc/systemd/system/proxmox-mcp.service`);
    await machine.write(
      `${home}/.env`,
      'IMAGE_TAG=latest\nSSH_HOST=192.0.2.137\nSSH_KEY_PATH=/app/keys/claude_proxmox_key\nENABLE_MONITORING=true\nGRAFANA_PASSWORD=admin\n',
    );
    await machine.write('/stand-in/docker/networks', 'proxmox-mcp_mcp-network 172.20.0.0/16\n');
    const before = await machine.root(everything);
    const refused = await install('--yes');
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringContaining(`Grafana's password (${home}/.env) is its own default, admin, which everybody knows`),
    ]);
    expect(await machine.root(everything)).toBe(before);
    await must('--monitoring', 'no');
    expect(await machine.root(`stat -c '%a %u:%g' ${home}/keys/claude_proxmox_key`)).toBe('600 10002:10000\n');
    const env = await machine.read(`${home}/.env`);
    expect(env).toContain('SSH_KEY_PATH=/opt/proxmox-mcp/keys/claude_proxmox_key\n');
    expect(env).toContain('SSH_HOST=192.0.2.137\n');
    expect(await machine.read(`${home}/before/proxmox-mcp.service`)).toContain('docker-compose up');
    const calls = await machine.calls();
    expect(calls).toContain('docker network rm proxmox-mcp_mcp-network');
    expect(calls.join()).not.toContain('host install');
    await must('--uninstall');
    await machine.root('rm -f /stand-in/docker/networks');
    await machine.calls();
  });

  it('goes on where it was cut off, wherever that was', async () => {
    for (const cut of sample(['docker-compose.yml', 'proxmox-mcp-watch.timer', 'known_hosts'], 1)) {
      await must('--uninstall');
      // Killed when it writes this file: what is there is whole, and the next run finishes it.
      const place =
        cut === 'docker-compose.yml' ? home : cut === 'known_hosts' ? `${home}/keys` : '/etc/systemd/system';
      await machine.standIn(
        'mv',
        `#!/bin/sh\ncase "$*" in *${place}/${cut}) kill -s KILL $PPID ;; esac\nexec /usr/bin/mv "$@"\n`,
      );
      const killed = await install('--yes');
      expect(killed.signal ?? killed.code).not.toBe(0);
      await machine.root('rm /usr/sbin/mv');
      const found = await machine.run(['/usr/local/lib/proxmox-mcp/checks.sh', 'doctor']);
      if (found.code !== 127 && found.code !== -1)
        expect(found.stdout).toContain('an installation or upgrade was begun and not finished');
      expect(await must()).toContain('an earlier run was not finished');
      const after = await machine.calls();
      expect(after.slice(-2)).toEqual([
        'systemctl restart proxmox-mcp',
        'systemctl enable --now proxmox-mcp-watch.timer',
      ]);
      expect(await must()).toContain('nothing has changed');
      await machine.calls();
    }
  }, 120_000);

  it('makes what is missing of the password of the database', async () => {
    const one = await machine.read(`${home}/secrets/postgres_password`);
    await machine.root(`rm ${home}/secrets/temporal_password`);
    await must();
    expect(await machine.read(`${home}/secrets/temporal_password`)).toBe(one);
    expect(await machine.calls()).toContain('systemctl restart proxmox-mcp');
    await machine.root(`rm ${home}/secrets/*_password`);
    await must();
    expect(await machine.read(`${home}/secrets/temporal_password`)).not.toBe(one);
    await machine.calls();
  });

  it('leaves nothing', async () => {
    const plan = await machine.run(['/srv/sources/install.sh', '--uninstall', '--dry-run']);
    expect(plan.stdout).toContain('remove the containers, networks, volumes and images');
    expect(await machine.calls()).toEqual([]);
    // Where the machine's own part can't be taken off, as while jobs run, all of it stays.
    await machine.root(': >/stand-in/refuse');
    const before = await machine.root(everything);
    const refused = await install('--uninstall', '--yes');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('host uninstall this --local')]);
    expect(await machine.calls()).toEqual(['proxmox-mcp host uninstall this --local --yes']);
    expect(await machine.root(everything)).toBe(before);
    await machine.root('rm /stand-in/refuse');
    // Nor where nothing is left that could do that.
    await machine.root('mv /stand-in/docker/images /stand-in/kept; touch /etc/sudoers.d/claude-user');
    const gone = await install('--uninstall', '--yes');
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringContaining('run ./install.sh, which builds it')]);
    expect(await machine.root(everything)).toBe(before);
    await machine.root(
      'rm -r /stand-in/docker/images /etc/sudoers.d/claude-user; mv /stand-in/kept /stand-in/docker/images',
    );
    await must('--uninstall');
    expect(await machine.root(everything)).toBe(bare);
    const calls = await machine.calls();
    expect(calls[0]).toBe('proxmox-mcp host uninstall this --local --yes');
    expect(calls).toContain(
      'docker compose --profile monitoring --profile tools down --volumes --remove-orphans --rmi all',
    );
    expect(await machine.root('ls /stand-in/docker/images')).toBe('');
  });
});
