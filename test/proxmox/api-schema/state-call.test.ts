import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import { createApiSchemas } from '../../../src/proxmox/api-schema/api-schemas.ts';
import { matchCall } from '../../../src/proxmox/api-schema/match-path.ts';
import { readState } from '../../../src/proxmox/api-schema/state-call.ts';
import type { ApiMethodName } from '../../../src/proxmox/client.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../../src/proxmox/connect.ts';
import { failureOf, hostOf, recordingLog } from '../support.ts';

let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;
const mend: (() => void)[] = [];

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1, unreachableDelayMs: 1 });
  apis = createProxmoxApis({ hosts: [hostOf('pve1', simulator)] }, recordingLog().log, { retries: 0 });
});
afterAll(async () => {
  await apis.close();
  await simulator.close();
});
afterEach(() => {
  for (const undo of mend.splice(0)) undo();
});

async function seen(method: ApiMethodName, path: string, again?: string) {
  const schema = await createApiSchemas(apis).of('pve1');
  const client = apis.get('pve1');
  return readState(client, schema, matchCall(schema, method, path), again === undefined ? {} : { path: again });
}
const answer = (status: number, reason: string) =>
  mend.push(
    simulator.inject({ kind: 'answer', status, reason, contentType: 'text/plain' }, { path: /cluster\/options/ }),
  );

it.each([
  ['PUT', '/nodes/pve1/qemu/100/config', '/nodes/pve1/qemu/100/config', true],
  ['DELETE', '/nodes/pve1/qemu/100', '/nodes/pve1/qemu/100/config', true],
  ['PUT', '/nodes/pve1/qemu/100/resize', '/nodes/pve1/qemu/100/config', false],
  ['POST', '/nodes/pve1/qemu/100/snapshot', '/nodes/pve1/qemu/100/snapshot', true],
  ['POST', '/nodes/pve1/storage/local/download-url', '/nodes/pve1/storage/local/content', false],
  ['POST', '/pools', '/pools', true],
  ['PUT', '/cluster/options', '/cluster/options', true],
] as const)('what %s %s is about is read by GET %s', async (method, path, read, isOwn) => {
  expect(await seen(method, path)).toMatchObject({ state: { path: read }, isOwn, absent: false });
});

it('what isn’t there is not there', async () => {
  expect(await seen('DELETE', '/nodes/pve1/qemu/999')).toMatchObject({ absent: true, isOwn: true });
});

it('what can’t be read in any words is passed over, and later it is gone', async () => {
  answer(500, 'cannot index groups: migrated');
  expect(await seen('PUT', '/cluster/options')).not.toMatchObject({ isOwn: true });
  expect(await seen('PUT', '/cluster/options', '/cluster/options')).toMatchObject({ absent: true, isOwn: true });
});

it('a right that was taken away, and a node that is away, say nothing of it', async () => {
  answer(403, 'Permission check failed (/, Sys.Audit)');
  expect((await failureOf(seen('PUT', '/cluster/options', '/cluster/options'))).code).toBe('proxmox-permission');
  for (const undo of mend.splice(0)) undo();
  answer(595, 'No route to host');
  expect((await failureOf(seen('PUT', '/cluster/options'))).code).toBe('proxmox-unavailable');
});
