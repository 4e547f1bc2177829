import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../lab/hosts/lab-host.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { createTokenStore } from '../../src/tokens/store.ts';
import { ask } from '../mcp/lib/clients.ts';
import { freePort } from '../support/free-ports.ts';
import { startService, type TestService } from '../support/service.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { allow, labMachine, localMachine, type Machine, makePlace, type Place } from './places.ts';

const by = { kind: 'cli', name: 'test' } as const;

let service: TestService;

async function backUp(host: string, before?: () => Promise<unknown>): Promise<RunDetails> {
  const { id } = await service.runs.start('back-up', { host, anyTarget: true }, by);
  await before?.();
  return service.runs.wait(id, { timeoutMs: 180_000 });
}

/** What happened, why and what to do are in the run's last words; `undone` where something had been written. */
function expectFailure(run: RunDetails, code: string, message: RegExp, remedy: RegExp, state = 'failed'): void {
  const said = JSON.stringify(run.failure);
  expect(run, said).toMatchObject({ state, failure: { code } });
  expect(run.failure?.message, said).toMatch(message);
  expect(run.failure?.remedy, said).toMatch(remedy);
  // One text for a person holds both, and nothing of a programmer's.
  expect(run.failure?.message, said).toContain(run.failure?.remedy);
  expect(said).not.toMatch(/undefined|\[object|\bat \S+ \(|Error:/);
}

async function expectUntouched(place: Place): Promise<void> {
  expect(await place.backups()).toEqual([]);
  await expect.poll(() => place.processes(), { timeout: 10_000 }).toEqual([]);
}

describe('what is wrong on this machine', () => {
  let local: Machine;
  const places = new Map<string, Place>();
  let simulator: ProxmoxSimulator;
  /** Two names for one host are refused, so each host has an address of its own. */
  const proxies: TcpProxy[] = [];
  const place = (name: string) => places.get(name) as Place;

  beforeAll(async () => {
    local = localMachine();
    const make = async (name: string, user?: number) => {
      places.set(name, await makePlace({ name, machine: local, ...(user === undefined ? {} : { user }) }));
    };
    await make('unreadable', 1234);
    await make('readonly', 1234);
    await make('missing');
    await make('helperless');
    simulator = await createProxmoxSimulator();
    for (let made = 0; made < 3; made++) proxies.push(await startTcpProxy(simulator.port));
    const api = (proxy: number, token: string, fingerprint = simulator.certificateFingerprint) => ({
      PROXMOX_HOST: simulator.host,
      PROXMOX_PORT: String(proxies[proxy]?.port),
      PROXMOX_USER: simulator.tokens.full.user,
      PROXMOX_TOKEN_NAME: simulator.tokens.full.name,
      PROXMOX_TOKEN_VALUE: token,
      PROXMOX_VERIFY_SSL: 'false',
      PROXMOX_FINGERPRINT: fingerprint,
    });
    const hosts = Object.fromEntries([...places].map(([name, { entry }]) => [name, entry]));
    service = await startService({
      hosts: {
        ...hosts,
        right: api(0, simulator.tokens.full.secret),
        'wrong-token': api(1, '00000000-0000-4000-8000-000000000000'),
        'wrong-certificate': api(2, simulator.tokens.full.secret, Array(32).fill('AB').join(':')),
      },
    });
    await service.startWorker();
    await service.startMcp();
  }, startTimeoutMs);

  afterAll(async () => {
    await service?.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await simulator?.close();
    await local?.stop();
  });

  it('a folder that can not be read is named, and nothing is written', async () => {
    const { machine, layout } = place('unreadable');
    await machine.sh(`chown 0 ${layout.installation}/keys; chmod 700 ${layout.installation}/keys`);
    expectFailure(await backUp('unreadable'), 'unreadable', /\/keys on unreadable can't be read/, /read access/);
    await expectUntouched(place('unreadable'));
  }, 120_000);

  it('a backup folder that can not be written is named', async () => {
    const { machine, layout } = place('readonly');
    await machine.sh(`chown 0 ${layout.backups}; chmod 755 ${layout.backups}`);
    expectFailure(await backUp('readonly'), 'unreadable', /\/backups on readonly can't be written/, /owner.*mode/);
    await expectUntouched(place('readonly'));
  }, 120_000);

  it('an installation that never was is no fault; one that was there and is gone is named, and the rest backed up', async () => {
    const { machine, layout } = place('missing');
    await machine.sh(`mv ${layout.installation} ${layout.installation}.away`);
    const never = await backUp('missing');
    expect(never, JSON.stringify(never.failure)).toMatchObject({
      state: 'done',
      result: { output: { archive: { counts: true } } },
    });
    await machine.sh(`mv ${layout.installation}.away ${layout.installation}`);
    expect((await backUp('missing')).state).toBe('done');
    await machine.sh(`mv ${layout.installation} ${layout.installation}.away`);
    expectFailure(
      await backUp('missing'),
      'verification-failed',
      /does not count as a good backup\. .*missing: the installation .*proxmox-mcp/,
      /accept-backup missing/,
    );
    expect((await place('missing').backups()).filter((name) => name.endsWith('.tar.gz'))).toHaveLength(3);
    await expect.poll(() => place('missing').processes(), { timeout: 10_000 }).toEqual([]);
  }, 120_000);

  it('a helper that is not there is named', async () => {
    const { machine, layout } = place('helperless');
    await machine.sh(`mv ${layout.helper} ${layout.helper}.away`);
    expectFailure(
      await backUp('helperless'),
      'command-refused',
      /has no helper at .*\/helper/,
      /host install helperless/,
    );
    await machine.sh(`mv ${layout.helper}.away ${layout.helper}`);
    await expectUntouched(place('helperless'));
  }, 120_000);

  it('a wrong MCP token is refused with what to do', async () => {
    const { status, last } = await ask(`${service.mcpUrl}/api/mcp`, 'pmx_wrong', 'tools/list');
    expect(status).toBe(401);
    expect(last.error.message).toMatch(/token/);
    expect(last.error.message).toContain('npx proxmox-mcp token');
  });

  it('a wrong API token and a wrong certificate are told apart, each with what to do', async () => {
    const store = createTokenStore(join(service.config.dataDir, 'tokens.json'));
    const { token } = await store.create({ name: 'faults', scope: 'read' });
    const get = async (host: string) => {
      const { last } = await ask(`${service.mcpUrl}/api/mcp`, token, 'tools/call', {
        name: 'get_host',
        arguments: { host },
      });
      return { failed: last.result?.isError === true, text: JSON.stringify(last) };
    };
    expect((await get('right')).failed).toBe(false);
    const wrong = await get('wrong-token');
    expect(wrong.failed).toBe(true);
    expect(wrong.text).toContain(`${proxies[1]?.port} refused the API token ${simulator.tokens.full.user}!`);
    expect(wrong.text).toContain('pveum user token list');
    expect(wrong.text).not.toContain('00000000-0000-4000');
    const certificate = await get('wrong-certificate');
    expect(certificate.failed).toBe(true);
    expect(certificate.text).toMatch(/certificate/);
    expect(certificate.text).toMatch(/fingerprint/i);
  });
});

describe.skipIf(whyNoLab())('what is wrong with a host behind SSH', () => {
  let host: LabHost;
  const places = new Map<string, Place>();
  const place = (name: string) => places.get(name) as Place;

  beforeAll(async () => {
    host = await startLabHost();
    const machine = labMachine(host);
    await machine.sh(
      'mkdir -p /srv/faults/small /srv/faults/tiny; mount -t tmpfs -o size=120m none /srv/faults/small; mount -t tmpfs -o size=4m none /srv/faults/tiny',
    );
    const names = [
      'full',
      'stateless',
      'helperless',
      'changed-helper',
      'silent',
      'changed-key',
      'wrong-key',
      'unknown-key',
      'refused',
      'down',
    ];
    for (const name of names) {
      const layout =
        name === 'full'
          ? { backups: '/srv/faults/small/backups' }
          : name === 'stateless'
            ? { state: '/srv/faults/tiny/state' }
            : {};
      places.set(name, await makePlace({ name, machine, layout }));
    }
    await allow(host, [...places.values()]);
    const hosts = Object.fromEntries([...places].map(([name, { entry }]) => [name, entry]));
    const known = (name: string, text: string) => {
      const path = join(host.folder, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    const other = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz2Wv4uQHn6yMOZB1VLfCr5Q9nKq4yPqBVGbFvKVLc1';
    service = await startService({
      hosts: {
        ...hosts,
        'wrong-key': { ...place('wrong-key').entry, SSH_KNOWN_HOSTS: known('other', `${host.ssh.host} ${other}\n`) },
        'unknown-key': { ...place('unknown-key').entry, SSH_KNOWN_HOSTS: known('none', '') },
        refused: { ...place('refused').entry, SSH_KEY_PATH: host.admin.keyPath },
        down: {
          ...place('down').entry,
          SSH_HOST: '127.0.0.1',
          SSH_PORT: String(await freePort()),
          SSH_KNOWN_HOSTS: known('down', `[127.0.0.1]:* ${other}\n`),
        },
      },
    });
    await service.startWorker();
  }, startTimeoutMs);

  afterAll(async () => {
    await service?.stop();
    await host?.stop();
  });

  it('a host that is down, with another key, an unknown key, a key that it refuses: nothing was done', async () => {
    const [down, wrong, unknown, refused] = await Promise.all(
      ['down', 'wrong-key', 'unknown-key', 'refused'].map((name) => backUp(name)),
    );
    expectFailure(down as RunDetails, 'host-unreachable', /down \(127\.0\.0\.1:\d+\) refuses connections/, /sshd/);
    expectFailure(
      wrong as RunDetails,
      'host-key-changed',
      /wrong-key .* shows ssh-ed25519 SHA256:.*is pinned in/,
      /host add wrong-key/,
    );
    expectFailure(unknown as RunDetails, 'host-key-unknown', /No usable key of unknown-key/, /host add unknown-key/);
    expectFailure(
      refused as RunDetails,
      'ssh-key-refused',
      /refused .* refused the SSH key .* for the user claude-user/,
      /authorized_keys/,
    );
    for (const name of ['wrong-key', 'unknown-key', 'refused']) await expectUntouched(place(name));
  }, 180_000);

  it('a helper that is not there or not the one that sudo was told', async () => {
    await place('helperless').machine.sh(`rm ${place('helperless').layout.helper}`);
    await place('changed-helper').machine.sh(`echo '# changed' >>${place('changed-helper').layout.helper}`);
    const [missing, changed] = await Promise.all([backUp('helperless'), backUp('changed-helper')]);
    expectFailure(
      missing as RunDetails,
      'command-refused',
      /sudo on helperless refused look-for-backup: .*\/srv\/faults\/helperless\/helper isn't there/,
      /host install helperless/,
    );
    expectFailure(
      changed as RunDetails,
      'command-refused',
      /sudo on changed-helper refused look-for-backup/,
      /host install changed-helper/,
    );
  }, 120_000);

  it('a disk that is full before the backup: nothing is written', async () => {
    await place('full').reset();
    await host.fillDisk('/srv/faults/small');
    expectFailure(
      await backUp('full'),
      'disk-full',
      /disk of \/srv\/faults\/small\/backups on full has 0 B free, but the backup needs up to .*; nothing was written/,
      /BACKUP_DIR/,
    );
    await host.freeDisk('/srv/faults/small');
    await expectUntouched(place('full'));
  }, 120_000);

  it.each(['Collect', 'Pack'] as const)(
    'a disk that gets full after %s began: everything is taken back',
    async (step) => {
      await place('full').reset(step);
      const run = await backUp('full', async () => {
        await place('full').held();
        await host.fillDisk('/srv/faults/small');
        await place('full').open();
      });
      expectFailure(
        run,
        'disk-full',
        /failed because the disk of \/srv\/faults\/small\/backups is full/,
        /BACKUP_DIR/,
        'undone',
      );
      expect(run.failure?.message).toMatch(/It stopped at step "(Collect|Pack|Verify)"\. Undone: Collect\.$/);
      await host.freeDisk('/srv/faults/small');
      await expectUntouched(place('full'));
      await place('full').reset();
      expect(await backUp('full')).toMatchObject({ state: 'done' });
    },
    240_000,
  );

  it("a full disk below the helper's own state, before and during: it is said, and nothing is left", async () => {
    await host.fillDisk('/srv/faults/tiny');
    expectFailure(
      await backUp('stateless'),
      'disk-full',
      /disk of \/srv\/faults\/tiny\/state on stateless, .* has 0 B free; nothing was written/,
      /Free at least/,
    );
    await host.freeDisk('/srv/faults/tiny');
    await place('stateless').reset('Collect');
    const run = await backUp('stateless', async () => {
      await place('stateless').held();
      await host.fillDisk('/srv/faults/tiny');
      await place('stateless').open();
    });
    expectFailure(run, 'disk-full', /disk of \/srv\/faults\/tiny\/state is full/, /df \/srv/, 'undone');
    await host.freeDisk('/srv/faults/tiny');
    await expectUntouched(place('stateless'));
    const halves = "find /srv/faults/tiny/state -name '*.new.*'";
    expect(await place('stateless').machine.sh(halves)).toBe('');
    await place('stateless').reset();
    expect(await backUp('stateless')).toMatchObject({ state: 'done' });
  }, 240_000);

  it('a network that swallows everything: given up within two minutes', async () => {
    await host.dropNetwork();
    const run = await backUp('silent');
    await host.restoreNetwork();
    expectFailure(run, 'host-unreachable', /silent/, /./);
    await expectUntouched(place('silent'));
  }, 240_000);

  it('a host key that changes while the service runs: the next run stops, and goes on when it is the pinned one again', async () => {
    expect(await backUp('changed-key')).toMatchObject({ state: 'done' });
    await place('changed-key').reset();
    await host.changeHostKey();
    await host.cutConnections();
    expectFailure(await backUp('changed-key'), 'host-key-changed', /changed-key/, /host add changed-key/);
    await host.restoreHostKey();
    await expectUntouched(place('changed-key'));
    expect(await backUp('changed-key')).toMatchObject({ state: 'done' });
  }, 240_000);
});
