import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import {
  type ApiCallInput,
  type ApiCallLook,
  type ChangeApiActivities,
  createChangeApiActivities,
} from '../../../src/activities/change-api/change-api.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../../src/proxmox/connect.ts';
import { locateGuest } from '../../../src/proxmox/locate.ts';
import { failureOf, hostOf, recordingLog } from '../../proxmox/support.ts';

let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;
let activities: ChangeApiActivities;
const mend: (() => void)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  simulator.state.pace.secondMs = 20;
  apis = createProxmoxApis({ hosts: [hostOf('pve1', simulator)] }, recordingLog().log, { retries: 0 });
  activities = createChangeApiActivities({ proxmox: apis });
});
afterAll(async () => {
  await apis.close();
  await simulator.close();
});
afterEach(() => {
  for (const undo of mend.splice(0)) undo();
  simulator.state.apiViewer.file = 'there';
});

const as = <T>(work: () => Promise<T>): Promise<T> =>
  new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(work) as Promise<T>;
const call = (
  method: ApiCallInput['method'],
  path: string,
  parameters: ApiCallInput['parameters'] = {},
): ApiCallInput => ({
  host: 'pve1',
  place: { kind: 'host', host: 'pve1' },
  method,
  path,
  parameters,
});
const look = (input: ApiCallInput) => as(() => activities.lookAtCall(input));
const known = (input: ApiCallInput, seen: ApiCallLook) => ({ ...input, known: seen });
const writes = () => simulator.requests.filter(({ method }) => method !== 'GET').length;

/** Another schema than the API's own, as of a host that lies or is of another version. */
function served(info: Record<string, unknown>, path = '/cluster/options', method = 'PUT'): ChangeApiActivities {
  const tree = [{ path, info: { GET: {}, [method]: info } }];
  simulator.state.apiViewer.file = { body: `const apiSchema = ${JSON.stringify(tree)};` };
  return createChangeApiActivities({ proxmox: apis });
}

describe('a look', () => {
  it('has the exact call, what it needs, and what it rests on', async () => {
    const seen = await look(call('PUT', '/cluster/options', { keyboard: 'de', max_workers: 3 }));
    expect(seen).toMatchObject({
      line: 'PUT /cluster/options keyboard=de max_workers=3',
      needs: 'Sys.Modify on /',
      state: { path: '/cluster/options', isOwn: true, absent: false },
      isDeclarative: true,
    });
    expect(seen.settings.map(({ name }) => name)).toEqual(['keyboard', 'max_workers']);
  });

  it('takes what is the same for the same, and sees what somebody has changed', async () => {
    const input = call('PUT', '/cluster/options', { keyboard: 'de' });
    const [one, two] = [await look(input), await look(input)];
    expect(one.state?.digest).toBe(two.state?.digest);
    await as(() => activities.makeCall(known(input, two)));
    expect((await look(input)).state?.digest).not.toBe(two.state?.digest);
  });

  it('of what isn’t there says so before anything is sent', async () => {
    const before = writes();
    const error = await failureOf(look(call('DELETE', '/cluster/firewall/aliases/nope')));
    expect(error.code).toMatch(/not-found|invalid/);
    expect(writes()).toBe(before);
  });

  it('shows no secret of what it reads', async () => {
    served({ parameters: { properties: { keyboard: { optional: 1 } } } });
    mend.push(
      simulator.inject(
        {
          kind: 'answer',
          status: 200,
          contentType: 'application/json',
          body: '{"data":{"password":"hunter2","keyboard":"de"}}',
        },
        { path: /cluster\/options/, method: 'GET' },
      ),
    );
    const fresh = createChangeApiActivities({ proxmox: apis });
    const seen = await as(() => fresh.lookAtCall(call('PUT', '/cluster/options', { keyboard: 'fr' })));
    expect(JSON.stringify(seen)).not.toContain('hunter2');
    expect(seen.settings).toEqual([{ name: 'keyboard', value: 'de' }]);
  });
});

describe('a schema that lies', () => {
  it('does not open what is refused by name', async () => {
    for (const path of ['/access/acl', '/nodes/{node}/execute', '/{anything}/acl', '/access/{x}']) {
      const lying = served({ permissions: { user: 'all' } }, path);
      for (const wanted of ['/access/acl', '/nodes/pve1/execute']) {
        const error = await failureOf(as(() => lying.lookAtCall(call('PUT', wanted))));
        expect(error).toMatchObject({ code: 'invalid-input', message: expect.stringContaining('is not done here') });
      }
    }
  });

  it('does not make a secret of another name one that is taken', async () => {
    const lying = served({ parameters: { properties: { password: { type: 'string' } } } });
    const error = await failureOf(as(() => lying.lookAtCall(call('PUT', '/cluster/options', { password: 'x' }))));
    expect(error.message).toContain('it holds a secret');
  });

  it('about a call that the API hasn’t is found out by the API, with nothing done', async () => {
    const lying = served({}, '/cluster/nosuch');
    const input = call('PUT', '/cluster/nosuch');
    const seen = await as(() => lying.lookAtCall(input));
    expect((await failureOf(as(() => lying.makeCall(known(input, seen))))).code).toBe('proxmox-invalid');
  });

  it('about parameters is found out by the API, which names them', async () => {
    const lying = served({ parameters: { properties: { nosuch: { optional: 1 } } } });
    const input = call('PUT', '/cluster/options', { nosuch: 1 });
    const seen = await as(() => lying.lookAtCall(input));
    const error = await failureOf(as(() => lying.makeCall(known(input, seen))));
    expect(error).toMatchObject({ code: 'proxmox-invalid', message: expect.stringContaining('nosuch') });
  });

  it('that has changed since the plan is noticed before anything is sent', async () => {
    const input = call('PUT', '/cluster/options', { keyboard: 'yes' });
    const first = served({ parameters: { properties: { keyboard: { type: 'string' } } } });
    const seen = await as(() => first.lookAtCall(input));
    const later = served({ parameters: { properties: { keyboard: { type: 'boolean' } } } });
    const before = writes();
    expect(await failureOf(as(() => later.makeCall(known(input, seen))))).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('another call than the one that was planned'),
    });
    expect(writes()).toBe(before);
  });
});

describe('the call', () => {
  it('is tried again only where nothing of it reached the node', async () => {
    const input = call('PUT', '/cluster/options', { keyboard: 'it' });
    const seen = await look(input);
    const before = writes();
    mend.push(simulator.inject({ kind: 'unavailable' }, { method: 'PUT', times: 1 }));
    await as(() => activities.makeCall(known(input, seen)));
    expect(writes() - before).toBe(2);
    mend.push(simulator.inject({ kind: 'unavailable', status: 596 }, { method: 'PUT', times: 1 }));
    expect((await failureOf(as(() => activities.makeCall(known(input, seen))))).code).toBe('outcome-unknown');
    expect(writes() - before).toBe(3);
  }, 20_000);

  it('on a guest is made where the guest is, and nowhere else', async () => {
    const place = await locateGuest(apis, { host: 'pve1', vmid: 100 });
    const on = (path: string) => ({ ...call('PUT', path, { description: 'x' }), place });
    expect((await look(on('/nodes/pve1/qemu/100/config'))).line).toContain('PUT /nodes/pve1/qemu/100/config');
    for (const path of ['/nodes/pve2/qemu/100/config', '/nodes/pve1/lxc/100/config']) {
      expect((await failureOf(look(on(path)))).code).toBe('guest-moved');
    }
  });
});

describe('what a call has done', () => {
  it('is verified by its settings, and put back from what was read', async () => {
    const input = call('PUT', '/cluster/options', { keyboard: 'pl', console: 'html5' });
    const seen = await look(input);
    await as(() => activities.makeCall(known(input, seen)));
    const effect = await as(() => activities.verifyCall(known(input, seen)));
    expect(effect.settings.map(({ name, after }) => [name, after])).toEqual([
      ['console', 'html5'],
      ['keyboard', 'pl'],
    ]);
    expect(effect.back).toBeDefined();
    await as(() => activities.undoCall(known(input, seen)));
    expect((await look(input)).settings).toEqual(seen.settings);
    // Once more is nothing more.
    const before = writes();
    await as(() => activities.undoCall(known(input, seen)));
    expect(writes()).toBe(before);
  });

  it('and can’t be taken back is a person’s, with what differs', async () => {
    const input = call('POST', '/pools', { poolid: 'stays' });
    const seen = await look(input);
    await as(() => activities.undoCall(known(input, seen)));
    await as(() => activities.makeCall(known(input, seen)));
    expect(await failureOf(as(() => activities.undoCall(known(input, seen))))).toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(
        /POST \/pools poolid=stays may have changed something.*stays\.poolid: new → stays/,
      ),
      retryable: false,
    });
  });

  it('is still nothing where what was deleted is still there', async () => {
    const made = call('POST', '/pools', { poolid: 'kept' });
    await as(async () => activities.makeCall(known(made, await activities.lookAtCall(made))));
    const input = call('DELETE', '/pools/kept');
    const seen = await look(input);
    mend.push(simulator.inject({ kind: 'silent' }, { method: 'DELETE' }));
    await as(() => activities.makeCall(known(input, seen)));
    expect(await failureOf(as(() => activities.verifyCall(known(input, seen))))).toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('still there'),
    });
  }, 20_000);
});
