import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { token } from '../../lab/proxmox/state.ts';
import { explain } from '../../src/errors.ts';
import { createProxmoxClient } from '../../src/proxmox/client.ts';
import { Secret } from '../../src/secret.ts';
import { configFor, failureOf, recordingLog, withClient } from './support.ts';

let simulator: ProxmoxSimulator;
const mend: (() => void)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 5, unreachableDelayMs: 5 });
});
afterEach(() => {
  for (const undo of mend.splice(0)) undo();
});
afterAll(() => simulator.close());

const inject: ProxmoxSimulator['inject'] = (fault, scope) => {
  const undo = simulator.inject(fault, scope);
  mend.push(undo);
  return undo;
};
const seen = () => simulator.requests.length;

describe('what is served', () => {
  it('reads version, nodes, status, resources, cluster and permissions', async () => {
    await withClient(configFor(simulator), async (client) => {
      expect(client.token).toBe('mcp@pve!full');
      expect((await client.version()).version).toBe('9.1.7');
      expect((await client.nodes()).map((node) => [node.node, node.status])).toEqual([
        ['pve1', 'online'],
        ['pve2', 'online'],
      ]);
      const status = await client.nodeStatus('pve1');
      expect(status.loadavg).toHaveLength(3);
      expect(status.loadavg.every((load) => typeof load === 'number')).toBe(true);
      expect(status.rootfs.avail).toBeLessThan(status.rootfs.total);
      expect((await client.resources('vm')).map((guest) => guest.vmid)).toEqual([100, 101, 102, 120]);
      expect(new Set((await client.resources()).map(({ type }) => type))).toEqual(
        new Set(['qemu', 'lxc', 'node', 'storage', 'network']),
      );
      expect((await client.clusterStatus())[0]).toMatchObject({ type: 'cluster', quorate: true });
      expect((await client.permissions('/vms/100'))['/vms/100']?.['VM.Audit']).toBe(true);
    });
  });

  it('takes a user whose name is a mail address: the realm follows the last @', async () => {
    const user = 'first.last@corp.example.org@oidc';
    simulator.state.users.set(user, { enabled: true, expire: 0 });
    const [id, made] = token(user, 'mcp', false);
    simulator.state.tokens.set(id, made);
    await withClient(
      configFor(simulator, { user, tokenName: 'mcp', tokenValue: new Secret(made.secret) }),
      async (client) => {
        expect(client.token).toBe(`${user}!mcp`);
        expect((await client.version()).version).toBe('9.1.7');
      },
    );
  });

  it('follows a task by its UPID and reads its log', async () => {
    const caller = { id: 'mcp@pve!full', user: 'mcp@pve', token: 'full' };
    let finish: () => void = () => undefined;
    const upid = simulator.tasks.start({ node: 'pve2', type: 'vzdump', id: '100', caller }, async (task) => {
      task.log('INFO: one');
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      task.warn('two');
    });
    await withClient(configFor(simulator), async (client) => {
      expect((await client.taskStatus(upid)).status).toBe('running');
      expect((await client.tasks('pve2', { source: 'active' }))[0]).toMatchObject({ upid, status: 'RUNNING' });
      finish();
      await expect.poll(async () => (await client.taskStatus(upid)).exitstatus).toBe('WARNINGS: 1');
      expect(await client.taskLog(upid)).toEqual({ lines: ['INFO: one', 'WARN: two', 'TASK WARNINGS: 1'], total: 3 });
      expect((await client.tasks('pve2', { errors: true })).map((task) => task.upid)).toEqual([upid]);
      expect((await failureOf(client.taskStatus(upid.replace('100', '101')))).code).toBe('proxmox-not-found');
      expect((await failureOf(client.taskStatus('qmstart'))).code).toBe('invalid-input');
    });
  });

  it('offers the whole API with proxmox-api’s types and leaves the caller’s parameters alone', async () => {
    await withClient(configFor(simulator), async (client) => {
      const parameters = { typefilter: 'vzdump', errors: false, vmid: undefined };
      // Callers with looser types than ours pass undefined.
      await client
        .api()
        .nodes.$('pve1')
        .tasks.$get(parameters as { typefilter: string });
      expect(parameters).toEqual({ typefilter: 'vzdump', errors: false, vmid: undefined });
      expect('vmid' in parameters).toBe(true);
      expect(simulator.requests.at(-1)?.url).toBe('/api2/json/nodes/pve1/tasks?typefilter=vzdump&errors=0');
    });
  });
});

describe('errors are typed by what can be done about them', () => {
  it('401: which token, and nothing of it', async () => {
    const config = configFor(simulator, { tokenValue: new Secret('11111111-2222-3333-4444-555555555555') });
    const error = await failureOf(withClient(config, (client) => client.version()));
    expect(error.code).toBe('proxmox-authentication');
    expect(error.message).toContain('mcp@pve!full: Authentication failed!');
    expect(error.remedy).toContain('pveum user token list mcp@pve');
    expect(error.retryable).toBe(false);
  });

  it('401 is asked once: each try costs 3 s and a line in the log', async () => {
    const config = configFor(simulator, { tokenValue: new Secret('wrong') });
    const before = seen();
    await failureOf(withClient(config, (client) => client.version()));
    expect(seen() - before).toBe(1);
  });

  it('403: privilege and path', async () => {
    const config = configFor(simulator, { as: simulator.tokens.limited });
    const error = await failureOf(withClient(config, (client) => client.nodeStatus('pve1')));
    expect(error.code).toBe('proxmox-permission');
    expect(error.details).toMatchObject({ path: '/nodes/pve1', privilege: 'Sys.Audit', token: 'mcp@pve!limited' });
    expect(explain(error)).toContain('Sys.Audit on /nodes/pve1');
  });

  it('a token without rights sees empty lists, and no error', async () => {
    const config = configFor(simulator, { as: simulator.tokens.limited });
    await withClient(config, async (client) => {
      expect(await client.resources('vm')).toEqual([]);
      expect(await client.permissions()).toEqual({});
    });
  });

  it('400: every parameter with what is wrong with it', async () => {
    const error = await failureOf(
      withClient(configFor(simulator), (client) => client.tasks('pve1', { limit: -1, vmid: 7 })),
    );
    expect(error.code).toBe('proxmox-invalid');
    expect(error.details).toMatchObject({
      'errors.limit': 'value must have a minimum value of 0',
      'errors.vmid': 'invalid format - value does not look like a valid VM ID',
    });
    expect(error.message).toContain('limit: value must have a minimum value of 0');
  });

  it('unknown node', async () => {
    const error = await failureOf(withClient(configFor(simulator), (client) => client.nodeStatus('nope')));
    expect(error.code).toBe('proxmox-not-found');
  });

  it('unknown call', async () => {
    const error = await failureOf(
      withClient(configFor(simulator), (client) => client.api().cluster.ceph.status.$get()),
    );
    expect(error.code).toBe('proxmox-invalid');
    expect(error.message).toContain("Method 'GET /cluster/ceph/status' not implemented");
  });

  it.each([
    [500, "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist", 'proxmox-not-found'],
    [500, "unable to find configuration file for VM 999 on node 'pve1'", 'proxmox-not-found'],
    [500, "no such user ('nosuch@pve')", 'proxmox-not-found'],
    [500, 'VM is locked (backup)', 'proxmox-locked'],
    [500, "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout", 'proxmox-locked'],
    [500, "create pool failed: cfs-lock 'file-user_cfg' error: no quorum!", 'proxmox-unavailable'],
    [500, 'cluster not ready - no quorum?', 'proxmox-unavailable'],
    [
      500,
      "unable to open file '/etc/pve/nodes/pve1/qemu-server/381.conf.tmp.3547' - Permission denied",
      'proxmox-unavailable',
    ],
    [500, "unable to restore VM 110 - VM 110 already exists on node 'pve1'", 'already-exists'],
    [500, 'checksum mismatch (file change by other user?)', 'conflict'],
    [500, 'CT 101 already running', 'conflict'],
    [500, "can't remove VM 110 - protection mode enabled", 'conflict'],
    [500, '400 Parameter verification failed.', 'proxmox-invalid'],
    [500, 'no options specified', 'proxmox-invalid'],
    [500, 'something nobody has seen', 'proxmox-unavailable'],
    [595, 'Connection refused', 'proxmox-unavailable'],
    [596, 'Connection timed out', 'proxmox-unavailable'],
    [599, 'Too many redirections', 'proxmox-unavailable'],
    [503, 'Service Unavailable', 'proxmox-unavailable'],
    [302, 'Found', 'unexpected-answer'],
    [201, 'Created', 'unexpected-answer'],
  ])('%i %s → %s', async (status, reason, code) => {
    inject({ kind: 'answer', status, reason });
    const error = await failureOf(withClient(configFor(simulator), (client) => client.version(), { retries: 0 }));
    expect(error.code).toBe(code);
    if (status >= 400) expect(error.message).toContain(reason.replace(/\.$/, ''));
    expect(error.remedy.length).toBeGreaterThan(20);
  });

  it.each([
    ['text', 'text/html', '<html>login</html>', 'no JSON'],
    ['broken JSON', 'application/json;charset=UTF-8', '{"data":', 'broken JSON'],
    ['no data', 'application/json;charset=UTF-8', '{"success":1}', 'without "data"'],
    ['another shape', 'application/json;charset=UTF-8', '{"data":{"version":9}}', 'data.version: '],
    ['a list', 'application/json;charset=UTF-8', '[1]', 'broken JSON'],
  ])('an answer that makes no sense (%s) is unexpected-answer', async (_, contentType, body, said) => {
    inject({ kind: 'answer', status: 200, contentType, body });
    const error = await failureOf(withClient(configFor(simulator), (client) => client.version()));
    expect(error.code).toBe('unexpected-answer');
    expect(error.message).toContain(said);
  });
});

describe('configuration', () => {
  it.each([
    ['token value', { tokenValue: new Secret('canary\nX-Injected: 1') }],
    ['token value', { tokenValue: new Secret('') }],
    ['token name', { tokenName: 'a b' }],
    ['user', { user: '' }],
    ['host or port', { host: 'pve1/x y' }],
    ['host or port', { host: 'pve1@other' }],
    ['host or port', { host: 'pve1 x' }],
  ])('that can’t be sent names its field (%s) and not its value', (field, changes) => {
    const make = () => createProxmoxClient(configFor(simulator, changes), recordingLog());
    expect(make).toThrow(`The ${field} of the Proxmox API`);
    expect(make).not.toThrow(/canary/);
  });
});

describe('network', () => {
  it('tries a GET again after a dropped connection and after a 595, within limits', async () => {
    await withClient(configFor(simulator), async (client) => {
      inject({ kind: 'disconnect' }, { times: 1 });
      inject({ kind: 'answer', status: 595, reason: 'Connection refused' }, { times: 1 });
      const before = seen();
      expect((await client.version()).release).toBe('9.1');
      expect(seen() - before).toBe(3);
      inject({ kind: 'answer', status: 595, reason: 'No route to host' });
      const error = await failureOf(client.version());
      expect(error.code).toBe('proxmox-unavailable');
      expect(error.message).toContain('No route to host');
      expect(seen() - before).toBe(6);
    });
  });

  it('never tries a change again, and says that its outcome is unknown', async () => {
    await withClient(configFor(simulator), async (client) => {
      await client.version();
      for (const fault of [
        { kind: 'disconnect' } as const,
        { kind: 'answer', status: 596, reason: 'Broken pipe' } as const,
      ]) {
        const undo = inject(fault);
        const before = seen();
        const error = await failureOf(client.api().nodes.$('pve1').qemu.$(100).status.start.$post());
        expect(error.code).toBe('outcome-unknown');
        expect(error.retryable).toBe(false);
        expect(seen() - before).toBe(1);
        undo();
      }
    });
  });

  it('a change to a dead peer was not done, and may be tried again by the caller only', async () => {
    inject({ kind: 'answer', status: 595, reason: 'Connection refused' });
    await withClient(configFor(simulator), async (client) => {
      const before = seen();
      const error = await failureOf(client.api().nodes.$('pve2').qemu.$(100).status.start.$post());
      expect(error.code).toBe('proxmox-unavailable');
      expect(seen() - before).toBe(1);
    });
  });

  it('a server that is down, and one that comes back', async () => {
    const other = await createProxmoxSimulator();
    await withClient(configFor(other), async (client) => {
      await client.version();
      await other.stopListening();
      const error = await failureOf(client.version());
      expect(error.code).toBe('proxmox-unavailable');
      expect(error.message).toContain('ECONNREFUSED');
      const write = await failureOf(client.api().nodes.$('pve1').qemu.$(100).status.start.$post());
      expect(write.code, 'nothing was sent').toBe('proxmox-unavailable');
      const again = client.version();
      await other.startListening();
      expect((await again).version).toBe('9.1.7');
    });
    await other.close();
  });

  it('has a deadline for the whole call', async () => {
    inject({ kind: 'hang' });
    const started = performance.now();
    const error = await failureOf(withClient(configFor(simulator), (client) => client.version({ timeoutMs: 200 })));
    expect(error.code).toBe('timeout');
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('gives up at once when told to', async () => {
    inject({ kind: 'hang' });
    await withClient(configFor(simulator), async (client) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 50);
      expect((await failureOf(client.version({ signal: controller.signal }))).code).toBe('cancelled');
      expect((await failureOf(client.version({ signal: AbortSignal.abort() }))).code).toBe('cancelled');
      const late = new AbortController();
      setTimeout(() => late.abort(), 50);
      const write = client.api({ signal: late.signal }).nodes.$('pve1').qemu.$(100).status.start.$post();
      expect((await failureOf(write)).code).toBe('outcome-unknown');
    });
  });

  it('keeps the connection between calls', async () => {
    await withClient(configFor(simulator), async (client) => {
      const before = simulator.connections;
      for (let index = 0; index < 20; index += 1) await client.version();
      // The pool may open another one when an answer's last byte and the next call coincide, on a busy machine more than once.
      expect(simulator.connections - before).toBeLessThan(10);
    });
  });

  it('something that speaks no TLS', async () => {
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const config = configFor(simulator, { port: (server.address() as AddressInfo).port });
    const error = await failureOf(withClient(config, (client) => client.version()));
    expect(error.code).toBe('proxmox-unavailable');
    server.close();
  });
});

describe('secrets', () => {
  it('no byte of the token is in an error or the log, even when the other side echoes it', async () => {
    const canary = 'deadbeef-0000-4000-8000-c0ffeec0ffee';
    simulator.state.tokens.set('mcp@pve!canary', {
      user: 'mcp@pve',
      name: 'canary',
      secret: canary,
      separated: false,
      expire: 0,
    });
    const { log, text } = recordingLog();
    const config = configFor(simulator, { as: { user: 'mcp@pve', name: 'canary', secret: canary } });
    const client = createProxmoxClient(config, { log, retries: 1 });
    const echo = `you sent PVEAPIToken=mcp@pve!canary=${canary}`;
    const json = 'application/json;charset=UTF-8';
    const errors: unknown[] = [];
    await client.version();
    for (const fault of [
      { kind: 'answer', status: 500, reason: echo },
      { kind: 'answer', status: 401, reason: echo },
      { kind: 'answer', status: 403, reason: echo },
      {
        kind: 'answer',
        status: 400,
        contentType: json,
        body: JSON.stringify({ errors: { [echo]: echo }, message: echo }),
      },
      { kind: 'answer', status: 200, contentType: json, body: JSON.stringify({ data: echo }) },
      { kind: 'answer', status: 200, contentType: 'text/plain', body: echo },
      { kind: 'disconnect' },
    ] as const) {
      const undo = inject(fault);
      errors.push(await failureOf(client.version()));
      undo();
    }
    inject({ kind: 'hang' });
    errors.push(await failureOf(client.version({ timeoutMs: 50 })));
    await client.close();
    for (const error of errors) {
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(canary);
      expect(JSON.stringify(error)).not.toContain(canary);
    }
    expect(text()).not.toContain(canary);
    expect(text()).toContain('"path":"/api2/json/version"');
    expect(inspect(client, { depth: 10 })).not.toContain(canary);
  });
});
