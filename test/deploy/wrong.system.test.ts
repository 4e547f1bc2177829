import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoSandbox } from '../hosts/helper/sandbox/sandbox.ts';
import { type Machine, putScripts, startMachine } from './machine.ts';

const home = '/opt/proxmox-mcp';
const image = 'sha256:0123';

/** Docker as it is where all is well; a test puts other answers before these. */
const docker = (before = '') => `#!/bin/sh
case "$*" in
${before}
  'version '*) echo 26.1.5 ;;
  'compose version --short') echo 2.26.1 ;;
  'image inspect '*) echo ${image} ;;
  'container ls '*'{{.ID}}') echo c1 ;;
  'container ls '*'{{.Names}}') echo proxmox-mcp-postgres-1 ;;
  'container inspect '*State*) echo 'worker /proxmox-mcp-worker-1 running healthy unless-stopped -' ;;
  'container inspect '*) echo /proxmox-mcp-worker-1 proxmox-mcp-server:1.0.0 ${image} ;;
  'compose up '*) exit \${UP-0} ;;
esac
`;

describe.skipIf(whyNoSandbox())('ten wrong deployments, each said in a sentence with its remedy', () => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await startMachine();
    await putScripts(machine, 'compose');
    await machine.standIn('timedatectl', '#!/bin/sh\necho yes\n');
  });
  afterAll(() => machine?.close());

  beforeEach(async () => {
    await machine.root(`umount ${home} 2>/dev/null || :; rm -rf ${home} /var/lib/proxmox-mcp-recovery /stand-in/units
      mkdir -p ${home}/keys ${home}/secrets ${home}/config /stand-in/units; touch /usr/local/lib/proxmox-mcp/checks.sh
      echo active >/stand-in/units/proxmox-mcp; echo active >/stand-in/units/proxmox-mcp-watch.timer; : >/stand-in/units/proxmox-mcp.enabled`);
    await machine.write(`${home}/.env`, 'IMAGE_TAG=1.0.0\n', 0o640);
    for (const name of ['postgres', 'temporal']) await machine.write(`${home}/secrets/${name}_password`, 'x\n', 0o600);
    await machine.standIn('docker', docker());
  });

  const findings = async (what: string) => {
    const { stdout } = await machine.run(['/usr/local/lib/proxmox-mcp/checks.sh', what]);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split('\t'));
  };
  /** What isn't well, as doctor would show it. */
  const wrong = async (what: string) =>
    (await findings(what)).filter(([verdict]) => verdict !== 'ok').map((one) => one.join(' | '));
  const starts = () => machine.run(['/usr/local/lib/proxmox-mcp/unit.sh', 'start']);

  it('none of which is seen where all is well', async () => {
    expect(await wrong('doctor')).toEqual([]);
    expect(await wrong('before')).toEqual([]);
    expect((await findings('doctor')).length).toBeGreaterThan(7);
  });

  it('1. a port is taken', async () => {
    const listen = (address: string) =>
      machine.root(`[ ! -e /stand-in/pid ] || { kill $(cat /stand-in/pid); while [ -n "$(ss -H -ltn 'sport = :443')" ]; do sleep 0.1; done; }
        setsid '${process.execPath}' -e 'require("net").createServer().listen(443, "${address}")' >/dev/null 2>&1 </dev/null & echo $! >/stand-in/pid
        for n in 1 2 3 4 5 6 7 8 9; do [ -n "$(ss -H -ltn 'sport = :443')" ] && break; sleep 0.2; done`);
    const taken = expect.stringMatching(
      /^failed \| Ports \| port 443 is taken by node \(process \d+\) \| Stop that program, or set another HTTPS_PORT in \.env\.$/,
    );
    for (const address of ['::', '0.0.0.0', '127.0.0.1']) {
      await listen(address);
      expect(await wrong('start'), address).toEqual([taken]);
    }
    const { code, stdout } = await starts();
    expect([code, stdout]).toEqual([1, expect.stringContaining('not started:\nPorts: port 443 is taken')]);
    // Published by one of our own containers it is no fault.
    await machine.standIn(
      'docker',
      docker(`'container ls '*'{{.Ports}}') printf '80/tcp\\n127.0.0.1:443->8443/tcp\\n' ;;`),
    );
    expect(await wrong('start')).toEqual([]);
    // At another address it doesn't take ours, until we want all.
    await listen('127.0.0.2');
    expect(await wrong('start')).toEqual([]);
    await machine.root(`echo PUBLISH_ADDRESS=0.0.0.0 >>${home}/.env`);
    expect(await wrong('start')).toEqual([taken]);
    await machine.root('kill $(cat /stand-in/pid)');
  });

  it('2. the name has no address', async () => {
    await machine.root(`echo MCP_DOMAIN=mcp.nowhere.invalid >>${home}/.env`);
    // Caddy's own authority doesn't ask for it.
    expect(await wrong('before')).toEqual([
      expect.stringContaining('warning | DNS | this machine finds no address of the name mcp.nowhere.invalid'),
    ]);
    await machine.root(`echo ACME_EMAIL=me@example.org >>${home}/.env`);
    expect(await wrong('before')).toEqual([
      'failed | DNS | the name mcp.nowhere.invalid has no address: no certificate can be had for it | Make an A or AAAA record of mcp.nowhere.invalid that leads here, or correct MCP_DOMAIN in .env.',
    ]);
    await machine.root(
      `sed -i s/mcp.nowhere.invalid/elsewhere.example/ ${home}/.env; echo '192.0.2.7 elsewhere.example' >>/etc/hosts`,
    );
    expect(await wrong('before')).toEqual([
      expect.stringContaining('warning | DNS | elsewhere.example is 192.0.2.7, none of which this machine has'),
    ]);
  });

  it('3. the clock is off', async () => {
    await machine.root('touch -d "+3 days" /usr/local/lib/proxmox-mcp/checks.sh');
    expect(await wrong('doctor')).toEqual([
      expect.stringMatching(/^failed \| Clock \| it is .* before this installation was made .* \| Set the clock/),
    ]);
    await machine.root('touch /usr/local/lib/proxmox-mcp/checks.sh');
    await machine.standIn('timedatectl', '#!/bin/sh\necho no\n');
    expect(await wrong('doctor')).toEqual([
      expect.stringMatching(
        /^warning \| Clock \| nothing keeps this machine's clock right .*timedatectl set-ntp true\.$/,
      ),
    ]);
    await machine.standIn('timedatectl', '#!/bin/sh\necho yes\n');
  });

  it('4. an image is not the one that was installed', async () => {
    await machine.write(
      `${home}/config/images`,
      `caddy:2@sha256:aaaa sha256:beef\nproxmox-mcp-server:1.0.0 ${image}\n`,
    );
    expect(await wrong('start')).toEqual([
      expect.stringContaining(
        `failed | Images | caddy:2@sha256:aaaa is not the image that was installed (sha256:beef): it is ${image} now | If you don't know why`,
      ),
    ]);
    // Pruned, it is pulled again, and by its digest only the same.
    await machine.standIn('docker', docker(`'image inspect '*caddy*) exit 1 ;;`));
    expect(await wrong('start')).toEqual([]);
    await machine.write(`${home}/config/images`, 'caddy:mine sha256:beef\n');
    expect(await wrong('start')).toEqual([expect.stringContaining('it is not here any more')]);
    await machine.standIn('docker', docker(`'image inspect '*) exit 1 ;;\n'image ls '*) echo 0.9.0 ;;`));
    expect(await wrong('start')).toEqual([
      expect.stringContaining(
        'there is no image proxmox-mcp-server:1.0.0, which IMAGE_TAG names | Run ./install.sh, which builds it; or set IMAGE_TAG to one of: 0.9.0',
      ),
    ]);
    expect((await starts()).code).toBe(1);
  });

  it('5. the disk is full', async () => {
    await machine.root(
      `mount -t tmpfs -o size=64m tmpfs ${home}; printf 'IMAGE_TAG=1.0.0\\n' >${home}/.env; chmod 640 ${home}/.env`,
    );
    expect(await wrong('start')).toEqual([
      expect.stringMatching(
        /^failed \| Disk space \| only 6\d MiB are free where \/opt\/proxmox-mcp is; 256 MiB are needed \| Free some space/,
      ),
    ]);
    expect((await starts()).stdout).toContain('not started:\nDisk space: only');
    // Nor is it, when nothing at all can be written any more, and for the place where Docker has its own.
    await machine.root(`umount ${home}; printf 'IMAGE_TAG=1.0.0\\n' >${home}/.env; chmod 640 ${home}/.env
      mkdir -p /docker-root; mount -t tmpfs -o size=64m tmpfs /docker-root; mount -t tmpfs -o size=4k tmpfs /tmp; dd if=/dev/zero of=/tmp/full bs=4k count=1 2>/dev/null`);
    try {
      await machine.standIn('docker', docker("'info '*) echo /docker-root ;;"));
      const said = (await starts()).stdout;
      expect(said).toMatch(/^not started:\nDisk space: only 6\d MiB are free where \/docker-root is; /);
    } finally {
      await machine.root('umount /tmp; umount /docker-root');
    }
  });

  it('6. Compose is too old', async () => {
    await machine.standIn('docker-compose', '#!/bin/sh\necho 1.29.2\n');
    await machine.standIn('docker', docker(`'compose version '*) exit 1 ;;`));
    expect(await wrong('before')).toEqual([
      expect.stringMatching(
        /^failed \| Docker Compose \| docker-compose 1\.29\.2 is of the first generation.*Compose v2 \(docker compose\) is not installed \| Install its plugin: .*--without-docker\.$/,
      ),
    ]);
    await machine.standIn('docker', docker(`'compose version '*) echo 2.12.2 ;;`));
    expect(await wrong('before')).toEqual([
      expect.stringContaining('Compose 2.12.2 is too old: 2.20 or newer is needed'),
    ]);
    await machine.standIn('docker', docker(`'version '*) echo 'Cannot connect' >&2; exit 1 ;;`));
    expect(await wrong('before')).toEqual([
      expect.stringContaining('the Docker engine does not answer: Cannot connect | Start it: systemctl start docker'),
    ]);
    // Nothing that it would have to be asked is guessed, and all else is looked at.
    await machine.standIn('docker', '#!/bin/sh\necho "Cannot connect" >&2\nexit 1\n');
    await machine.root(`chmod 644 ${home}/secrets/postgres_password`);
    expect((await findings('doctor')).map(([verdict, check]) => `${verdict} ${check}`)).toEqual([
      'ok Unit',
      'ok Recovery',
      'failed Docker',
      'ok Ports',
      'failed Secrets',
      'ok Disk space',
      'ok Clock',
    ]);
  });

  it('7. others can read the secrets', async () => {
    await machine.root(`chmod 644 ${home}/secrets/postgres_password`);
    expect(await wrong('start')).toEqual([
      expect.stringContaining(
        `failed | Secrets | others on this machine can read ${home}/secrets/postgres_password | Run: chmod 600 ${home}/secrets/postgres_password`,
      ),
    ]);
    expect((await starts()).code).toBe(1);
    // One that several containers read is their group's.
    await machine.root(`chmod 640 ${home}/secrets/postgres_password; chown 0:10000 ${home}/secrets/postgres_password`);
    expect(await wrong('start')).toEqual([]);
    await machine.root(`chmod 600 ${home}/secrets/*; chmod 644 ${home}/.env`);
    expect(await wrong('start')).toEqual([
      expect.stringContaining(`can read ${home}/.env | Run: chmod 640 ${home}/.env`),
    ]);
    await machine.root(`chmod 640 ${home}/.env; printf 'DISCORD_WEBHOOK_URL=\\nSMTP_PASSWORD=x\\n' >>${home}/.env`);
    expect(await wrong('start')).toEqual([
      expect.stringContaining('.env holds SMTP_PASSWORD, and every container reads that file | Run ./install.sh'),
    ]);
    // The default that everybody knows is no secret either.
    await machine.root(
      `printf 'IMAGE_TAG=1.0.0\\nENABLE_MONITORING=y\\nGRAFANA_PASSWORD_FILE=./secrets/grafana-password\\n' >${home}/.env`,
    );
    await machine.write(`${home}/secrets/grafana-password`, 'admin\n', 0o600);
    expect(await wrong('start')).toEqual([
      expect.stringContaining("failed | Secrets | Grafana's password is its default, admin | Write another one into"),
    ]);
    await machine.write(`${home}/secrets/grafana-password`, 'x\n', 0o600);
    expect(await wrong('start')).toEqual([]);
  });

  it('9. the password of the database was changed', async () => {
    await machine.write(`${home}/secrets/temporal_password`, 'y\n', 0o600);
    const mend = `Make both files say the same, each with its owner and mode 600, then: systemctl restart proxmox-mcp`;
    expect(await wrong('start')).toEqual([
      `failed | Database | Temporal has another password than PostgreSQL: ${home}/secrets/temporal_password and postgres_password differ | ${mend}`,
    ]);
    expect((await starts()).stdout).toContain('not started:\nDatabase: Temporal has another password');
    await machine.write(`${home}/secrets/temporal_password`, 'x\n', 0o600);
    const refused = docker(`logs\\ *) echo 'FATAL:  password authentication failed for user "temporal"' >&2 ;;`);
    await machine.standIn('docker', refused.replace('UP-0', 'UP-1'));
    const { code, stdout } = await starts();
    expect([code, stdout]).toEqual([
      1,
      expect.stringContaining("it did not get healthy:\nDatabase: PostgreSQL refuses Temporal's password"),
    ]);
    expect(await wrong('doctor')).toEqual([expect.stringContaining(mend)]);
  });

  it('10. an upgrade was left half done', async () => {
    await machine.standIn(
      'docker',
      docker(`'container inspect '*Config.Image*) echo /proxmox-mcp-worker-1 proxmox-mcp-server:0.9.0 sha256:old ;;`),
    );
    expect(await wrong('doctor')).toEqual([
      expect.stringContaining(
        'failed | Containers | half an upgrade: .env says 1.0.0, but other images run in proxmox-mcp-worker-1 (proxmox-mcp-server:0.9.0) | Finish it: systemctl restart proxmox-mcp',
      ),
    ]);
    // It is what starting mends: it may not be kept from it.
    expect((await starts()).stdout).not.toContain('half an upgrade');
    await machine.standIn('docker', docker());
    await machine.write('/var/lib/proxmox-mcp-recovery/unfinished', 'begun yesterday, from 0.9.0 to 1.0.0\n');
    expect(await wrong('doctor')).toEqual([
      'failed | Installation | an installation or upgrade was begun and not finished (begun yesterday, from 0.9.0 to 1.0.0) | Run ./install.sh again: it goes on where it ended.',
    ]);
  });

  it('and the unit, the timer, containers and the network', async () => {
    await machine.root(
      'echo failed >/stand-in/units/proxmox-mcp; rm /stand-in/units/proxmox-mcp.enabled; echo inactive >/stand-in/units/proxmox-mcp-watch.timer',
    );
    expect(await wrong('doctor')).toEqual([
      expect.stringContaining('failed | Unit | proxmox-mcp is failed | See: systemctl status proxmox-mcp'),
      expect.stringContaining(
        'warning | Unit | proxmox-mcp does not start with this machine | Run: systemctl enable proxmox-mcp',
      ),
      expect.stringContaining('warning | Recovery | the timer proxmox-mcp-watch does not run'),
    ]);
    await machine.root(
      'cd /stand-in/units; echo active >proxmox-mcp; : >proxmox-mcp.enabled; echo active >proxmox-mcp-watch.timer',
    );
    for (const [state, said] of [
      ['running unhealthy unless-stopped -', 'failed | Containers | not well: proxmox-mcp-worker-1 | See: docker logs'],
      ['created - unless-stopped error', 'failed | Containers | not well: proxmox-mcp-worker-1 |'],
      [
        'exited unhealthy unless-stopped -',
        'warning | Containers | stopped with Docker itself: worker; the timer leaves',
      ],
    ]) {
      await machine.standIn(
        'docker',
        docker(`'container inspect '*State*) echo 'worker /proxmox-mcp-worker-1 ${state}' ;;`),
      );
      expect((await wrong('doctor'))[0]).toContain(said);
    }
    await machine.standIn('docker', docker());
    await machine.root(
      'ip link add dummy0 type dummy 2>/dev/null && ip address add 172.20.9.1/24 dev dummy0 && ip link set dummy0 up || ip address add 172.20.9.1/24 dev lo; ip route replace 172.20.9.0/24 dev lo',
    );
    expect(await wrong('before')).toEqual([
      expect.stringMatching(
        /^failed \| Network \| the network 172\.20\.0\.0\/16 overlaps the route 172\.20\.9\.0\/24 \(\w+\) of this machine \| Set another NETWORK_PREFIX/,
      ),
    ]);
    expect(await wrong('start')).toEqual([expect.stringMatching(/^failed \| Network /)]);
    // Once our own are there, what runs is no reason not to start it again.
    await machine.standIn('docker', docker("'network ls '*) echo 0123456789ab ;;"));
    expect(await wrong('start')).toEqual([expect.stringMatching(/^warning \| Network /)]);
    await machine.root(`echo NETWORK_PREFIX=10.201 >>${home}/.env`);
    expect(await wrong('before')).toEqual([]);
  });
});
