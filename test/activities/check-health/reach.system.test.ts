import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import { type Sshd, startSshd } from '../../../lab/sshd.ts';
import { createHealthActivities } from '../../../src/activities/check-health/check-health.ts';
import type { Reached } from '../../../src/activities/check-health/reach.ts';
import type { HostConfig, SshConfig } from '../../../src/config.ts';
import { createHosts } from '../../../src/hosts/create-hosts.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { createProxmoxApis } from '../../../src/proxmox/connect.ts';
import { configFor } from '../../proxmox/support.ts';
import { logger } from '../../support/activity-logger.ts';
import { freePort } from '../../support/free-ports.ts';
import { nobodysClient } from '../../support/local-host.ts';

/** The whole first line of a report must be there by then. */
const limitMs = 15_000;

let sshd: Sshd;
let simulator: ProxmoxSimulator;
beforeAll(async () => {
  [sshd, simulator] = await Promise.all([startSshd(), createProxmoxSimulator({ authenticationDelayMs: 1 })]);
}, 60_000);
afterAll(async () => {
  await sshd?.stop();
  await simulator?.close();
});

async function reach(config: Pick<HostConfig, 'ssh' | 'api'>): Promise<Reached & { readonly ms: number }> {
  const host: HostConfig = { name: 'pve1', ...config, layout: defaultLayout, timeZone: 'UTC' };
  const log = pino({ level: 'silent' });
  const hosts = createHosts({
    hosts: [host],
    executorFor: ({ name, ssh }) => {
      if (ssh === undefined) throw new Error('no SSH');
      return createSshExecutor({ name, ssh, log });
    },
  });
  const proxmox = createProxmoxApis({ hosts: [host] }, log);
  const activities = createHealthActivities({ hosts, proxmox, client: nobodysClient });
  const began = performance.now();
  try {
    const reached = await new MockActivityEnvironment({}, { logger }).run(() => activities.reachHost({ host: 'pve1' }));
    return { ...(reached as Reached), ms: performance.now() - began };
  } finally {
    await Promise.all([hosts.close(), proxmox.close()]);
  }
}

/** The same host at another port, its key pinned there too. */
function at(port: number): SshConfig {
  const pinned = readFileSync(sshd.ssh.knownHostsPath, 'utf8').replaceAll(`:${sshd.ssh.port} `, `:${port} `);
  const knownHostsPath = join(sshd.folder, `known_hosts-${port}`);
  writeFileSync(knownHostsPath, pinned);
  return { ...sshd.ssh, port, knownHostsPath };
}

describe('a host that is away is one line within 15 s', () => {
  const expectAway = ({ findings, ways, ms }: Awaited<ReturnType<typeof reach>>, cause: string) => {
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({
      check: 'Answer',
      verdict: 'failed',
      summary: `pve1 does not answer: ${cause}.`,
    });
    expect(findings[0]?.remedy).toBeTruthy();
    expect(findings[0]?.evidence).toBeTruthy();
    expect(ways).toEqual({ commands: false, api: false });
    expect(ms).toBeLessThan(limitMs);
  };

  it('when nothing listens, which was tried twice', { timeout: 20_000 }, async () => {
    const port = await freePort();
    const reached = await reach({ ssh: at(port) });
    expectAway(reached, `nothing listens on ${sshd.ssh.host}:${port}`);
    expect(reached.ms).toBeGreaterThan(900);
  });

  it('when it takes connections and says nothing', { timeout: 20_000 }, async () => {
    const sockets = new Set<{ destroy(): void }>();
    const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as { port: number };
    try {
      expectAway(await reach({ ssh: at(port) }), `${sshd.ssh.host}:${port} says nothing`);
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });

  it('when packets are dropped', { timeout: 20_000 }, async () => {
    // A listener that accepts nothing and whose queue is full: the kernel answers no further SYN.
    const holder = spawn('python3', ['-c', fullListener], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      const [line] = (await once(holder.stdout, 'data')) as [Buffer];
      const port = Number(String(line).trim());
      expectAway(await reach({ ssh: at(port) }), `${sshd.ssh.host}:${port} says nothing`);
    } finally {
      holder.kill();
    }
  });

  it('when its key is another one', { timeout: 20_000 }, async () => {
    const other = await startSshd();
    try {
      const unknown = await reach({ ssh: { ...other.ssh, knownHostsPath: sshd.ssh.knownHostsPath } });
      expectAway(unknown, 'its SSH host key is not known here');
      await other.down();
      await other.changeHostKeys();
      await other.up();
      expectAway(await reach({ ssh: other.ssh }), 'its SSH host key is not the pinned one');
    } finally {
      await other.stop();
    }
  });

  it('when there is only an API, and that is away', { timeout: 20_000 }, async () => {
    const port = await freePort();
    expectAway(await reach({ api: configFor(simulator, { port }) }), `nothing listens on 127.0.0.1:${port}`);
    const lift = simulator.inject({ kind: 'hang' });
    try {
      expectAway(await reach({ api: configFor(simulator) }), `127.0.0.1:${simulator.port} says nothing`);
    } finally {
      lift();
    }
  });

  it('when neither way answers', { timeout: 20_000 }, async () => {
    const [port, apiPort] = [await freePort(), await freePort()];
    const reached = await reach({ ssh: at(port), api: configFor(simulator, { port: apiPort }) });
    expectAway(reached, `nothing listens on ${sshd.ssh.host}:${port}`);
    expect(reached.findings[0]?.evidence).toContain(String(apiPort));
  });
});

describe('a host that answers', () => {
  it('by its API though not by SSH is looked at by that, and it is said', { timeout: 20_000 }, async () => {
    const reached = await reach({ ssh: at(await freePort()), api: configFor(simulator) });
    expect(reached.ways).toEqual({ commands: false, api: true });
    expect(reached.findings).toMatchObject([
      {
        check: 'Answer',
        verdict: 'failed',
        summary: expect.stringContaining('does not answer over SSH, but its Proxmox API does'),
      },
      { check: 'Proxmox API', verdict: 'ok' },
    ]);
  });

  it('by SSH though not by its API says why, and goes on by commands', { timeout: 20_000 }, async () => {
    const wrong = configFor(simulator, {
      as: { ...simulator.tokens.full, secret: '00000000-0000-0000-0000-000000000000' },
    });
    const reached = await reach({ ssh: sshd.ssh, api: wrong });
    expect(reached.ways).toEqual({ commands: true, api: false });
    expect(reached.findings).toContainEqual(
      expect.objectContaining({
        check: 'Proxmox API',
        verdict: 'failed',
        summary: "The Proxmox API of pve1 can't be used: it refuses the API token.",
      }),
    );
  });

  it('and has no helper is told once, with what to do', { timeout: 20_000 }, async () => {
    const reached = await reach({ ssh: sshd.ssh });
    expect(reached).toMatchObject({ ways: { commands: true, api: false }, hasHelper: false });
    expect(reached.findings).toMatchObject([
      { check: 'Answer', verdict: 'ok' },
      { check: 'Helper', verdict: 'failed', remedy: expect.stringContaining('npx proxmox-mcp host install pve1') },
    ]);
  });

  it('names the rights that its API token lacks', { timeout: 20_000 }, async () => {
    const { readOnly, limited } = simulator.tokens;
    const good = await reach({ api: configFor(simulator, { as: readOnly }) });
    expect(good.findings).toMatchObject([
      { check: 'Answer', verdict: 'ok' },
      { check: 'Proxmox API', verdict: 'ok' },
    ]);
    expect(good.hasProxmox).toBe(true);
    const poor = await reach({ api: configFor(simulator, { as: limited }) });
    expect(poor.findings[1]).toMatchObject({
      verdict: 'warning',
      summary: expect.stringMatching(/lacks Sys\.Audit on \/, Datastore\.Audit on \/storage, VM\.Audit on \/vms/),
      remedy: expect.stringContaining('PVEAuditor'),
    });
  });
});

const fullListener = `
import socket, sys, time
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(0)
held = []
for _ in range(8):
    c = socket.socket(); c.setblocking(False)
    try: c.connect(s.getsockname())
    except BlockingIOError: pass
    held.append(c)
time.sleep(0.5)
print(s.getsockname()[1], flush=True)
sys.stdin.read()
`;
