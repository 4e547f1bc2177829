import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoSandbox } from '../hosts/helper/sandbox/sandbox.ts';
import { type Machine, putScripts, startMachine } from './machine.ts';

const home = '/opt/proxmox-mcp';
const checksConfig = 'docker compose --progress quiet run --rm --no-deps -T cli config show';

/** Docker where the installation runs: two workers, of which the second one is older than its settings. */
const docker = (before = '') => `#!/bin/sh
case "$*" in
  *' ls '* | *inspect* | 'info '* | *'config --'* | 'compose version'* | version*) ;;
  *) echo "docker $*" >>/stand-in/calls ;;
esac
case "$*" in
${before}
  'version '*) echo 26.1.5 ;;
  'compose version --short') echo 2.26.1 ;;
  'image inspect '*) echo sha256:1 ;;
  'container ls '*config-hash*) printf 'mcp-server h1\\nworker h2\\nworker h2\\nledger h3\\ncaddy h4\\n' ;;
  'container ls '*'.State}}') printf 'mcp-server proxmox-mcp-server running\\nworker proxmox-mcp-worker-1 running\\nledger proxmox-mcp-ledger-1 running\\ncaddy mcp-reverse-proxy running\\nworker proxmox-mcp-worker-2 exited\\n' ;;
  'exec '*) echo 'The worker (process 1) has read the configuration again: LOG_LEVEL changed.' ;;
  *'config --hash'*) printf 'mcp-server h1\\nworker new\\nledger h3\\ncaddy h4\\npostgres h5\\n' ;;
  *'--profile monitoring config --services') printf 'worker\\ngrafana\\nprometheus\\n' ;;
  *'config --services') printf 'worker\\n' ;;
esac
`;

describe.skipIf(whyNoSandbox())('the unit around Docker Compose', () => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await startMachine();
    await putScripts(machine, 'compose');
  });
  afterAll(() => machine?.close());

  beforeEach(async () => {
    await machine.standIn('docker', docker());
    await machine.root(`rm -rf ${home} /run/proxmox-mcp; mkdir -p ${home}/keys ${home}/secrets`);
    await machine.write(`${home}/.env`, 'IMAGE_TAG=1.0.0\nLOG_LEVEL=INFO\nMCP_PORT=8080\n', 0o640);
    await machine.write(`${home}/docker-compose.yml`, `ports: ['\${MCP_PORT:-8080}:8080']\nimage: x:\${IMAGE_TAG}\n`);
  });

  const unit = (what: string) => machine.run(['/usr/local/lib/proxmox-mcp/unit.sh', what]);

  it('starts everything, waits until it is healthy, and takes off what the profile had', async () => {
    expect((await unit('start')).code).toBe(0);
    expect(await machine.calls()).toEqual([
      checksConfig,
      'docker compose up --detach --wait --wait-timeout 300 mcp-server worker ledger caddy',
      'docker compose up --detach --wait --wait-timeout 180 --remove-orphans',
      'docker compose --profile monitoring rm --stop --force grafana prometheus',
    ]);
    for (const spelt of ['y', 'TRUE', '"on"', '1 # now']) {
      await machine.root(`sed -i /ENABLE_MONITORING/d ${home}/.env; echo 'ENABLE_MONITORING=${spelt}' >>${home}/.env`);
      expect((await unit('start')).code).toBe(0);
      expect(await machine.calls()).toEqual([
        checksConfig.replace('compose', 'compose --profile monitoring'),
        'docker compose --profile monitoring up --detach --wait --wait-timeout 300 mcp-server worker ledger caddy',
        'docker compose --profile monitoring up --detach --wait --wait-timeout 180 --remove-orphans',
      ]);
    }
    // Of the settings it keeps digests alone.
    expect(await machine.read('/run/proxmox-mcp/settings')).toMatch(/^(\w+ [0-9a-f]{64}\n)+$/);
  });

  it('is there without what it can do without, and says so', async () => {
    await machine.standIn(
      'docker',
      docker(`*' --wait-timeout 180 '*) exit 1 ;;
  'container ls '*'{{.ID}}') echo c1 ;;
  'container inspect '*State*) echo 'grafana /proxmox-mcp-grafana-1 running unhealthy unless-stopped -' ;;`),
    );
    const { code, stdout } = await unit('start');
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/^the service is there; .*\nContainers: not well, .*: proxmox-mcp-grafana-1\. See: /),
    ]);
    await machine.standIn('docker', docker(`*' --wait-timeout 300 '*) exit 1 ;;`));
    expect((await unit('start')).code).toBe(1);
    expect((await machine.calls()).filter((call) => call.includes('180'))).toHaveLength(1);
  });

  it('says what is wrong in .env, and starts nothing with it', async () => {
    await machine.standIn(
      'docker',
      docker("*'config show') echo 'ENABLE_MONITORING (.env:9): expected one line for it' >&2; exit 2 ;;"),
    );
    const { code, stdout } = await unit('start');
    expect([code, stdout]).toEqual([
      1,
      'not started, the configuration is wrong:\nENABLE_MONITORING (.env:9): expected one line for it\n',
    ]);
    expect(await machine.calls()).toEqual([checksConfig]);
    // For the mail of the timer, until it has started.
    expect(await machine.read('/run/proxmox-mcp/why-not')).toBe(stdout);
    await machine.standIn('docker', docker());
    await unit('start');
    expect((await machine.run(['test', '-e', '/run/proxmox-mcp/why-not'])).code).toBe(1);
    await machine.calls();
  });

  it('stops without removing anything, and leaves a mark until it is started', async () => {
    await unit('stop');
    expect(await machine.calls()).toEqual(['docker compose --profile monitoring --profile tools stop']);
    const marked = () => machine.run(['test', '-e', '/run/proxmox-mcp/stopped']);
    expect((await marked()).code).toBe(0);
    await unit('start');
    expect((await marked()).code).toBe(1);
    await machine.calls();
  });

  it('reloads every process that runs, and Caddy, and names what needs a restart', async () => {
    await unit('start');
    await machine.calls();
    await machine.root(`sed -i 's/INFO/DEBUG/; s/=8080/=8081/' ${home}/.env`);
    const { code, stdout, stderr } = await unit('reload');
    expect(code, stderr).toBe(0);
    expect(await machine.calls()).toEqual([
      'docker compose run --rm --no-deps -T cli config check',
      'docker compose exec -T caddy sh /etc/caddy/start.sh validate',
      'docker exec proxmox-mcp-server proxmox-mcp reload',
      'docker exec proxmox-mcp-worker-1 proxmox-mcp reload',
      'docker exec proxmox-mcp-ledger-1 proxmox-mcp reload',
      'docker compose exec -T caddy sh /etc/caddy/start.sh reload',
    ]);
    expect(stdout).toContain(
      'proxmox-mcp-worker-1: The worker (process 1) has read the configuration again: LOG_LEVEL changed.\n',
    );
    expect(stdout).toContain(
      'reloaded; these count only after systemctl restart proxmox-mcp: MCP_PORT (it makes anew: worker)\n',
    );
  });

  it('fails when a process could not take it, and says which', async () => {
    await unit('start');
    await machine.standIn('docker', docker("'exec proxmox-mcp-worker-1 '*) echo 'did not answer'; exit 1 ;;"));
    const { code, stdout } = await unit('reload');
    expect([code, stdout]).toEqual([1, expect.stringContaining('proxmox-mcp-worker-1: did not answer\n')]);
    expect(await machine.calls()).toContain('docker exec proxmox-mcp-ledger-1 proxmox-mcp reload');
  });

  it.each([
    ['docker-compose.yml or .env is wrong', "*'config --quiet') echo 'yaml: line 1'; exit 15 ;;"],
    ['the configuration is wrong', "*'config check') echo 'MCP_PORT (.env:3): expected a port'; exit 2 ;;"],
    ['the Caddyfile is wrong', "*'start.sh validate'*) echo 'Error: adapting config'; exit 1 ;;"],
  ])('changes nothing and says why when %s', async (what, fault) => {
    await unit('start');
    await machine.standIn('docker', docker(fault));
    await machine.calls();
    const { code, stdout } = await unit('reload');
    expect([code, stdout]).toEqual([
      1,
      expect.stringContaining(`not reloaded, everything goes on as it was: ${what}\n`),
    ]);
    expect(stdout).toMatch(/yaml: line 1|expected a port|adapting config/);
    expect((await machine.calls()).filter((call) => /reload/.test(call))).toEqual([]);
  });

  it('is what the command hands start, stop, restart and reload to', async () => {
    await machine.root('cp /usr/local/lib/proxmox-mcp/cli.sh /usr/local/bin/proxmox-mcp');
    await machine.standIn('journalctl', '#!/bin/sh\n[ "$1" = --sync ] || echo "what $2 said"\n');
    const command = (...words: string[]) => machine.run(['/usr/local/bin/proxmox-mcp', ...words]);
    for (const kind of ['compose', 'systemd']) {
      await machine.root(`echo ${kind} >/usr/local/lib/proxmox-mcp/deployment`);
      expect(await command('reload')).toMatchObject({ code: 0, stdout: 'what proxmox-mcp said\n' });
      await command('stop');
      expect(await machine.calls()).toEqual(['systemctl reload proxmox-mcp', 'systemctl stop proxmox-mcp']);
    }
    await machine.root('echo compose >/usr/local/lib/proxmox-mcp/deployment');
    await command('restart');
    expect((await machine.calls()).at(-1)).toBe('systemctl restart proxmox-mcp');
    // What would not be started again isn't stopped.
    await machine.standIn('docker', docker("*'config show') echo 'MCP_PORT (.env:3)' >&2; exit 2 ;;"));
    const { code, stderr } = await command('restart');
    expect([code, stderr]).toEqual([2, 'MCP_PORT (.env:3)\nNot restarted: everything goes on as it was.\n']);
    expect((await machine.calls()).filter((call) => call.startsWith('systemctl'))).toEqual([]);
  });

  it('runs the command line in a container, and says what this machine knows when that is not to be had', async () => {
    await machine.root('cp /usr/local/lib/proxmox-mcp/cli.sh /usr/local/bin/proxmox-mcp');
    const command = (...words: string[]) => machine.run(['/usr/local/bin/proxmox-mcp', ...words]);
    await command('status', '--json');
    expect(await machine.calls()).toEqual([
      'docker compose --progress quiet run --rm --no-deps -T -e PROXMOX_MCP_HOST_FINDINGS -e PROXMOX_MCP_DEPLOYMENT cli status --json',
    ]);
    await machine.standIn('docker', docker("'compose --progress'*) exit 125 ;;\n'image inspect '*) exit 1 ;;"));
    const { code, stderr } = await command('doctor');
    expect([code, stderr]).toEqual([
      125,
      expect.stringContaining('Images: there is no image proxmox-mcp-server:1.0.0'),
    ]);
    expect((await command('status')).code).toBe(125);
    await machine.calls();
  });
});
