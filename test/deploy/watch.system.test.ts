import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoSandbox } from '../hosts/helper/sandbox/sandbox.ts';
import { type Machine, putScripts, startMachine } from './machine.ts';

const password = 'correct "horse" \\ battery';

describe.skipIf(whyNoSandbox())('the timer that recovers the service', () => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await startMachine({ outside: true });
    await putScripts(machine, 'systemd');
    await machine.standIn('sleep', '#!/bin/sh\n');
    // What curl is given as arguments, where everybody can read it.
    await machine.root('mv /usr/bin/curl /usr/bin/curl.real');
    await machine.write(
      '/usr/bin/curl',
      '#!/bin/sh\necho "$*" >>/stand-in/curl\nexec /usr/bin/curl.real "$@"\n',
      0o755,
    );
  });
  afterAll(() => machine?.close());

  beforeEach(async () => {
    await machine.write(
      '/opt/proxmox-mcp/.env',
      [
        'SMTP_HOST=127.0.0.1',
        'SMTP_PORT=2525',
        'SMTP_SECURITY=none',
        'SMTP_USER=me',
        'SMTP_PASSWORD_FILE=secrets/smtp',
        'MAIL_FROM=Proxmox MCP <mcp@example.org>',
        'MAIL_TO=a@example.org, b@example.org',
        '',
      ].join('\n'),
    );
    await machine.write('/opt/proxmox-mcp/secrets/smtp', `${password}\n`, 0o600);
    await machine.root(`rm -rf /var/lib/proxmox-mcp-recovery /var/lib/proxmox-mcp /stand-in/mails /stand-in/no-mail /stand-in/heals-with /stand-in/calls /stand-in/curl
      rm -rf /run/proxmox-mcp; echo systemd >/usr/local/lib/proxmox-mcp/deployment; echo ok >/stand-in/health
      mkdir -p /stand-in/units; echo active >/stand-in/units/proxmox-mcp`);
  });

  const look = async () => {
    const { code, stdout, stderr } = await machine.run(['/usr/local/lib/proxmox-mcp/watch.sh'], {});
    expect(code, stderr).toBe(0);
    return stdout + stderr;
  };
  const state = (file: string) => machine.root(`cat /var/lib/proxmox-mcp-recovery/${file} 2>/dev/null || :`);
  const mails = async () =>
    (await machine.root('cat /stand-in/mails 2>/dev/null || :')).split('=====\n').filter(Boolean);
  const tries = async () =>
    (await state('tries'))
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' ').slice(1).join(' '));
  /** As if so many seconds had gone by since the first look and the last try. */
  const later = (seconds: number) =>
    machine.root(`cd /var/lib/proxmox-mcp-recovery
      for f in since tries; do [ ! -e $f ] || awk -v s=${seconds} '{ $1 = $1 - s; print }' $f >$f.new; [ ! -e $f.new ] || mv $f.new $f; done`);
  /** Docker with these containers: service, name, state, health, policy, error. */
  const withContainers = async (...lines: string[]) => {
    await machine.root('echo compose >/usr/local/lib/proxmox-mcp/deployment');
    await machine.write('/stand-in/containers', lines.map((line) => `${line}\n`).join(''));
    await machine.standIn(
      'docker',
      `#!/bin/sh\ncase $* in version* | 'compose version'* | info* | image* | network*) ;; 'container ls'*) cut -d ' ' -f 2 /stand-in/containers ;; 'container inspect'*) cat /stand-in/containers ;; *) echo "docker $*" >>/stand-in/calls ;; esac\n`,
    );
  };
  /** Down for longer than it has patience with. */
  const down = async () => {
    await machine.root('echo failing >/stand-in/health');
    await look();
    await later(200);
  };

  it('remembers nothing of a service that is well', async () => {
    expect(await look()).toBe('');
    await machine.root('echo busy >/stand-in/health');
    expect(await look()).toBe('');
    expect(await machine.root('ls /var/lib/proxmox-mcp-recovery')).toBe('lock\n');
    expect(await machine.calls()).toEqual([]);
  });

  it('waits some minutes before it does anything', async () => {
    await machine.root('echo failing >/stand-in/health');
    expect(await look()).toContain('says: No worker takes work.');
    await later(100);
    await look();
    expect(await machine.calls()).toEqual([]);
    await machine.root('echo ok >/stand-in/health');
    await look();
    expect(await state('since')).toBe('');
    expect(await mails()).toEqual([]);
  });

  it('restarts the unit, and mails once that it is back and what was done', async () => {
    await down();
    await machine.root('echo 1 >/stand-in/heals-with');
    await look();
    expect(await machine.calls()).toEqual(['systemctl reset-failed proxmox-mcp', 'systemctl restart proxmox-mcp']);
    await look();
    await look();
    const sent = await mails();
    expect(sent.map((one) => /Subject: (.*)/.exec(one)?.[1])).toEqual(['Proxmox MCP on sandbox is back']);
    expect(sent[0]).toMatch(/watch: restart-unit proxmox-mcp/);
    expect(await tries()).toEqual(['watch restart-unit proxmox-mcp', 'watch healthy -']);
    expect(await state('since')).toBe('');
  });

  it('gives the password to curl alone, and to nobody who lists processes', async () => {
    await machine.write('/run/proxmox-mcp/why-not', 'not started:\nPorts: port 443 is taken by nginx\n');
    await down();
    await look();
    expect(await machine.root('cat /stand-in/auth')).toBe(` me ${password}`);
    const [letter] = await mails();
    expect(letter).toContain('The last start said:\n  not started:\n  Ports: port 443 is taken');
    expect(letter).toContain('From: Proxmox MCP <mcp@example.org>\nTo: a@example.org, b@example.org\n');
    expect(letter).toMatch(/It has been down since .*\n {2}.* watch: restart-unit proxmox-mcp/s);
    expect(await machine.root('cat /stand-in/curl')).not.toContain('horse');
  });

  it('restarts the container that is ill first, then the unit, then makes all anew; at most five times a day', async () => {
    await withContainers(
      'worker /proxmox-mcp-worker-1 running unhealthy unless-stopped -',
      'temporal-schema /proxmox-mcp-temporal-schema-1 exited - on-failure -',
      'grafana /proxmox-mcp-grafana-1 running unhealthy unless-stopped -',
    );
    await down();
    const did: string[][] = [];
    for (let one = 0; one < 7; one++) {
      await look();
      did.push(await machine.calls());
      await later(3_000);
    }
    expect(did[0]).toEqual(['docker restart proxmox-mcp-worker-1']);
    expect(did[1]).toEqual(['systemctl reset-failed proxmox-mcp', 'systemctl restart proxmox-mcp']);
    const anew = [
      'docker compose --profile monitoring --profile tools down --remove-orphans',
      'systemctl reset-failed proxmox-mcp',
      'systemctl restart proxmox-mcp',
    ];
    expect(did.slice(2, 5)).toEqual([anew, anew, anew]);
    expect(did.slice(5)).toEqual([[], []]);
    expect((await mails()).map((one) => /Subject: (.*)/.exec(one)?.[1])).toEqual([
      'Proxmox MCP on sandbox is down',
      'Proxmox MCP on sandbox stays down',
    ]);
    await later(86_400);
    await look();
    expect((await machine.calls()).length).toBeGreaterThan(0);
  });

  it('waits longer after each try, and counts those of others', async () => {
    await down();
    await machine.root(
      'cd /var/lib/proxmox-mcp-recovery; for n in 300 200 100; do echo "$(($(date +%s) - n)) recover-service/this/x restart-unit proxmox-mcp"; done >tries',
    );
    expect(await look()).toBe('');
    expect(await machine.calls()).toEqual([]);
    await later(200);
    expect(await look()).toContain('try 4 of 5: recreate');
    await machine.calls();
  });

  it.each([
    ['compose', '', 'http://127.0.0.1:8080/health'],
    ['compose', 'PUBLISH_ADDRESS=0.0.0.0\nMCP_PORT=9000', 'http://127.0.0.1:9000/health'],
    ['compose', 'PUBLISH_ADDRESS=192.168.1.5\nNETWORK_PREFIX=10.9', 'http://10.9.0.2:8080/health'],
    ['systemd', 'MCP_HOST="0.0.0.0" # all', 'http://127.0.0.1:8080/health'],
    ['systemd', "MCP_HOST='fd00::1'\nMCP_PORT = 81", 'http://[fd00::1]:81/health'],
  ])('asks where the service is: %s %j', async (deployment, env, url) => {
    await machine.write('/opt/proxmox-mcp/.env', `${env}\n`);
    const asked = await machine.root(
      `deployment=; . /usr/local/lib/proxmox-mcp/settings.sh; deployment=${deployment}; health_url`,
    );
    expect(asked).toBe(`${url}\n`);
  });

  it('lets a service alone that somebody has stopped', async () => {
    await machine.root('echo failing >/stand-in/health');
    await look();
    await machine.root('systemctl stop proxmox-mcp');
    await later(1_000);
    await machine.calls();
    expect(await look()).toBe('');
    expect(await machine.calls()).toEqual([]);
    expect(await state('since')).toBe('');
  });

  const core = ['mcp-server', 'worker', 'ledger', 'caddy', 'postgres', 'temporal'];
  const stopped = (name: string) => `${name} /proxmox-mcp-${name}-1 exited unhealthy unless-stopped -`;
  const well = (name: string) => `${name} /proxmox-mcp-${name}-1 running healthy unless-stopped -`;

  it.each([
    ['docker compose stop', core.map(stopped), 'caddy postgres temporal'],
    ['docker compose down', [], '(all)'],
    ['docker stop', [...core.filter((name) => name !== 'caddy').map(well), stopped('caddy')], '(caddy)'],
  ])('lets a service alone that somebody has stopped with %s', async (_, containers, said) => {
    await withContainers(...containers);
    await machine.root('echo gone >/stand-in/health');
    expect(await look()).toContain(said);
    expect(await look()).toBe('');
    await later(1_000);
    expect(await look()).toBe('');
    expect(await machine.calls()).toEqual([]);
    // What is ill besides, or could not be started, isn't stopped.
    await withContainers(...core.map(well), 'worker /proxmox-mcp-worker-2 exited unhealthy unless-stopped -');
    await look();
    await later(200);
    expect(await look()).toContain('try 1 of 5');
    await machine.calls();
  });

  it.each([
    ['compose', ': >/run/proxmox-mcp/stopped', 'rm /run/proxmox-mcp/stopped'],
    ['systemd', 'echo timeout >/stand-in/units/proxmox-mcp.result', 'rm /stand-in/units/proxmox-mcp.result'],
  ])('takes a stop that was too slow for one all the same: %s', async (deployment, slow, isOther) => {
    await withContainers(...core.map(stopped));
    await machine.root(`echo ${deployment} >/usr/local/lib/proxmox-mcp/deployment; mkdir -p /run/proxmox-mcp; ${slow}
      echo failed >/stand-in/units/proxmox-mcp; echo gone >/stand-in/health`);
    expect([await look(), await state('since')]).toEqual(['', '']);
    await machine.root(isOther);
    expect(await look()).toContain('the unit proxmox-mcp has failed; ');
  });

  it('restarts a container without which nobody is served, though the service answers here', async () => {
    await withContainers(
      ...core.filter((name) => name !== 'caddy').map(well),
      'caddy /mcp-reverse-proxy running unhealthy unless-stopped -',
    );
    expect(await look()).toContain('not healthy: mcp-reverse-proxy');
    await later(200);
    await look();
    expect(await machine.calls()).toEqual(['docker restart mcp-reverse-proxy']);
  });

  it('tells once of what is ill beside the service, and touches neither', async () => {
    const ill = 'grafana /proxmox-mcp-grafana-1 running unhealthy unless-stopped -';
    // Even the unit may have failed, when the service is there.
    await machine.root('echo failed >/stand-in/units/proxmox-mcp');
    await withContainers(...core.map(well), ill);
    expect(await look()).toContain('not well beside the service: proxmox-mcp-grafana-1');
    await machine.root('echo $(($(date +%s) - 200)) >/var/lib/proxmox-mcp-recovery/beside');
    await look();
    await look();
    expect((await mails()).map((one) => /Subject: (.*)/.exec(one)?.[1])).toEqual([
      'Proxmox MCP on sandbox works, but not all beside it',
    ]);
    expect(await machine.calls()).toEqual([]);
    await withContainers(...core.map(well));
    await look();
    expect((await state('mailed-beside')) + (await state('beside'))).toBe('');
  });

  it('tries and tells on a full disk, too, and remembers it when there is space again', async () => {
    await machine.root(`mkdir -p /var/lib/proxmox-mcp-recovery; mount -t tmpfs -o size=16k tmpfs /var/lib/proxmox-mcp-recovery
      mount -t tmpfs -o size=4k tmpfs /tmp; dd if=/dev/zero of=/tmp/full bs=4k count=1 2>/dev/null
      cd /var/lib/proxmox-mcp-recovery; : >lock; echo "1 recover-service/this/x restart-unit proxmox-mcp" >tries; dd if=/dev/zero of=full bs=4k 2>/dev/null || :`);
    try {
      await machine.root(
        'echo failing >/stand-in/health; chmod 644 /opt/proxmox-mcp/secrets/smtp; mkdir -p /opt/proxmox-mcp/keys',
      );
      expect(await look()).toContain('if it stays so');
      await machine.root('cd /run/proxmox-mcp-recovery; echo $(($(date +%s) - 200)) >since');
      await look();
      expect(await machine.calls()).toContain('systemctl restart proxmox-mcp');
      expect((await mails())[0]).toMatch(
        /What the machine says:\n {2}Secrets: others on this machine can read \S+smtp \S+\.env\. Run: chmod 600 \S+smtp && chmod 640 \S+\.env;/,
      );
      await machine.root('rm /var/lib/proxmox-mcp-recovery/full');
      await look();
      expect(await tries()).toEqual([
        'recover-service/this/x restart-unit proxmox-mcp',
        'watch restart-unit proxmox-mcp',
      ]);
      expect(await state('mailed-down; ls /run/proxmox-mcp-recovery')).toBe('');
    } finally {
      await machine.root('umount /tmp; umount /var/lib/proxmox-mcp-recovery; rm -rf /run/proxmox-mcp-recovery');
    }
  });

  it('starts a unit that has failed', async () => {
    await machine.root('echo failed >/stand-in/units/proxmox-mcp');
    expect(await look()).toContain('the unit proxmox-mcp has failed');
    await later(200);
    await machine.root('echo 1 >/stand-in/heals-with');
    await look();
    expect(await machine.calls()).toContain('systemctl restart proxmox-mcp');
  });

  it.each([
    [
      'holds the lock',
      'setsid flock /var/lib/proxmox-mcp-recovery/lock /usr/bin/sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >/stand-in/pid; /usr/bin/sleep 0.3',
      'kill -s KILL -- -$(cat /stand-in/pid)',
    ],
    [
      'says until when',
      'echo "$(($(date +%s) + 1000)) upgrade-system/this/1" >/var/lib/proxmox-mcp-recovery/hold',
      'echo "$(($(date +%s) - 1)) upgrade-system/this/1" >/var/lib/proxmox-mcp-recovery/hold',
    ],
    [
      'has begun an installation, less than an hour ago',
      'echo begun >/var/lib/proxmox-mcp-recovery/unfinished',
      'touch -d "-61 minutes" /var/lib/proxmox-mcp-recovery/unfinished',
    ],
    [
      'is a job that changes the unit',
      `mkdir -p /var/lib/proxmox-mcp/jobs/j1/claim; cd /var/lib/proxmox-mcp/jobs/j1; echo 'change-unit 7 stop proxmox-mcp' >command
       setsid /usr/bin/sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >/stand-in/pid; echo "$! 1 0 $(cat /proc/sys/kernel/random/boot_id) 1" >meta`,
      'kill -KILL $(cat /stand-in/pid)',
    ],
  ])('does nothing while whoever works on the installation %s', async (_, begin, end) => {
    await down();
    await machine.root(begin);
    expect(await look()).toMatch(/works on the installation: nothing is done/);
    expect(await machine.calls()).toEqual([]);
    await machine.root(end);
    expect(await look()).toContain('try 1 of 5');
    expect(await machine.calls()).toContain('systemctl restart proxmox-mcp');
  });

  it('mails later what could not be sent', async () => {
    await down();
    await machine.root(': >/stand-in/no-mail; echo 1 >/stand-in/heals-with');
    expect(await look()).toContain('not mailed');
    await look();
    expect(await mails()).toEqual([]);
    await machine.root('rm /stand-in/no-mail');
    await look();
    await look();
    expect((await mails()).map((one) => /Subject: (.*)/.exec(one)?.[1])).toEqual(['Proxmox MCP on sandbox is back']);
    expect((await tries()).filter((one) => one === 'watch healthy -')).toHaveLength(1);
  });
});
