import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stillHad, whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { installPrivileges } from '../../../lab/hosts/privileges.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import { generateSudoers } from '../../../src/hosts/helper/generate-sudoers.ts';
import { install } from '../../../src/hosts/install/install.ts';
import { rotationFile } from '../../../src/hosts/install/log-rotation.ts';
import { configOf, log, makeBare } from '../install/sample.ts';
import { sampleCommands } from './sample.ts';

const kinds = [{ debian: 'bullseye' }, { debian: 'bookworm' }, { debian: 'trixie' }] as const;

describe.skipIf(whyNoLab()).each(await stillHad(kinds))('the logs of sudo on $debian', ({ debian }) => {
  let host: LabHost;
  const recordings = '/var/log/sudo-io/claude-user';
  const sudoLog = '/var/log/sudo-claude-user.log';

  beforeAll(async () => {
    host = await startLabHost({ debian });
    await makeBare(host);
    const config = configOf(host);
    await install(config, { login: host.admin, log, agree: async () => true });
    // The rotation is the installation's; the commands are ones that leave a mark when they are executed.
    await installPrivileges(host, generateHelper(config.layout, { commands: sampleCommands }), (facts) =>
      generateSudoers(config.layout, { ...facts, commands: sampleCommands }),
    );
    await mark('first');
    expect(await marks()).toContain('first');
  }, startTimeoutMs);
  afterAll(() => host?.stop());

  let fence = 0;
  const mark = (word: string) => {
    const { helper } = host.config.layout;
    return host.exec(['/usr/bin/sudo', '-n', '--', helper, 'mark', String(++fence), word], { user: 'claude-user' });
  };
  const marks = async () => (await host.readFile('/var/lib/proxmox-mcp/marks')).trim().split('\n');
  const sh = (script: string) => host.must(['sh', '-euc', script]);

  it.each([
    [
      'the recordings are full',
      `mount -t tmpfs -o size=64k tmpfs ${recordings}; dd if=/dev/zero of=${recordings}/x bs=4k status=none || :`,
      `umount ${recordings}`,
    ],
    ['the recordings can not be written', `mount -t tmpfs -o ro tmpfs ${recordings}`, `umount ${recordings}`],
    [
      'the log is full',
      `mkdir /mnt/log; mount -t tmpfs -o size=64k tmpfs /mnt/log; : >/mnt/log/log; dd if=/dev/zero of=/mnt/log/x bs=4k status=none || :; mount --bind /mnt/log/log ${sudoLog}`,
      `umount ${sudoLog}; umount /mnt/log; rmdir /mnt/log`,
    ],
    [
      'the log can not be written',
      `mount --bind ${sudoLog} ${sudoLog}; mount -o remount,bind,ro ${sudoLog}`,
      `umount ${sudoLog}`,
    ],
  ])('execute nothing when %s', async (_, harm, mend) => {
    await sh(harm);
    const said = await mark('unlogged').finally(() => sh(mend));
    expect(said.exitCode, said.stderr).not.toBe(0);
    expect(await marks()).not.toContain('unlogged');
    expect(await mark('logged')).toMatchObject({ exitCode: 0 });
  });

  // What a look says can be a whole archive, and of long output that it records sudo 1.9.13 loses the end.
  it('hold what was looked at, and not what it said', async () => {
    const { helper } = host.config.layout;
    const look = () => host.exec(['/usr/bin/sudo', '-n', '--', helper, 'hello'], { user: 'claude-user' });
    expect(await look()).toMatchObject({ exitCode: 0, stdout: 'hello\n' });
    expect(await host.readFile(sudoLog)).toMatch(/COMMAND=\S+helper hello/);
    const recorded = (word: string) =>
      sh(`find ${recordings} -name 'std*' -exec zcat -f {} + | grep -c '${word}' || :`);
    expect(await recorded('hello')).toBe('0\n');
    const older = await host.exec(['/usr/bin/sudo', '-n', '--', helper, 'mark', '1', 'older'], { user: 'claude-user' });
    expect(older.stderr).toContain('fenced-out');
    expect(await recorded('fenced-out')).not.toBe('0\n');
  });

  it('are bounded: the newest recording takes the place of the oldest', async () => {
    // 19998, in the base of 36 that sudo counts in.
    await sh(`rm -rf ${recordings}/00; echo 000FFI >${recordings}/seq`);
    for (const word of ['one', 'two', 'three']) expect(await mark(word)).toMatchObject({ exitCode: 0 });
    const kept = (await sh(`cd ${recordings}; find . -mindepth 3 -maxdepth 3 -type d`)).trim().split('\n').sort();
    expect(kept).toHaveLength(3);
    expect(kept[0]).toMatch(/^\.\/00\/00\/0[01]$/);
    expect(kept.at(-1)).toMatch(/^\.\/00\/0F\/F[JK]$/);
  });

  it('are rotated, by size too, and what is old goes', async () => {
    const job = (id: string, days: number) => {
      const folder = `/var/lib/proxmox-mcp/jobs/${id}`;
      return `mkdir -p ${folder}/claim; echo verb >${folder}/command; echo "0 $(date -d '${days} days ago' +%s%3N)" >${folder}/exit`;
    };
    await sh(
      `${job('old', 31)}; ${job('new', 29)}; mkdir -p ${recordings}/00/01/01; touch -d '91 days ago' ${recordings}/00/01/01/log`,
    );
    await mark('before');
    await sh(`logrotate --force ${rotationFile}`);
    expect(await host.readFile(`${sudoLog}.1`)).toContain(' before');
    expect(await sh(`stat -c '%a %U %s' ${sudoLog}; ls /var/lib/proxmox-mcp/jobs`)).toBe('600 root 0\nnew\n');
    expect(
      (await sh(`find ${recordings}/00/01 2>/dev/null || :; find ${recordings} -name log | head -1`)).trim(),
    ).toMatch(/log$/);
    expect((await host.exec(['test', '-e', `${recordings}/00/01`])).exitCode).toBe(1);
    await mark('after');
    expect(await host.readFile(sudoLog)).toContain(' after');
    // Not yet a week, and small: it stays. Not yet a week, but large: it is rotated, and the one before compressed.
    await sh(`logrotate ${rotationFile}`);
    expect(await host.readFile(sudoLog)).toContain(' after');
    await sh(`head -c 22M /dev/zero | tr '\\0' '\\n' >>${sudoLog}; logrotate ${rotationFile}`);
    expect(await sh(`stat -c %s ${sudoLog}`)).toBe('0\n');
    expect(await sh(`zcat ${sudoLog}.2.gz`)).toContain(' before');
  });

  it('execute nothing that a log server does not take', async () => {
    await host.writeFile('/etc/sudoers.d/log-server', 'Defaults:claude-user log_servers=127.0.0.1\n', { mode: 0o440 });
    const refused = await mark('unserved');
    expect(refused.exitCode).not.toBe(0);
    expect(await marks()).not.toContain('unserved');
    await sh(
      'mkdir -p /run/sudo; setsid sudo_logsrvd -n >/dev/null 2>&1 & for i in 1 2 3 4 5 6 7 8 9; do ss -ltn | grep -q :30343 && break; sleep 0.2; done',
    );
    const served = await mark('served');
    await sh('pkill sudo_logsrvd; rm /etc/sudoers.d/log-server');
    expect(served, served.stderr).toMatchObject({ exitCode: 0 });
    expect(await marks()).toContain('served');
    expect(
      await sh(
        'grep -rl "mark .* served" /var/log/sudo-io --include=log | grep -vc "^/var/log/sudo-io/claude-user/" || :',
      ),
    ).toBe('1\n');
  });
});
