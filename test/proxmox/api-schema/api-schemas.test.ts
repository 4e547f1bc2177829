import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import { createApiSchemas } from '../../../src/proxmox/api-schema/api-schemas.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../../src/proxmox/connect.ts';
import { failureOf, hostOf, recordingLog } from '../support.ts';

let simulator: ProxmoxSimulator;
let apis: ProxmoxApis;
let now = 0;
let seen = 0;

beforeAll(async () => {
  simulator = await createProxmoxSimulator({ authenticationDelayMs: 1 });
  apis = createProxmoxApis({ hosts: [hostOf('pve1', simulator)] }, recordingLog().log, { retries: 0 });
});
afterAll(async () => {
  await apis.close();
  await simulator.close();
});
beforeEach(() => {
  seen = simulator.requests.length;
});
afterEach(() => {
  simulator.state.apiViewer.file = 'there';
});

const asked = (end: string) => simulator.requests.slice(seen).filter(({ url }) => url.endsWith(end)).length;
const of = (body: string) => `const apiSchema = [{"path":"/${body}","info":{"GET":{}}}];`;

describe('a host’s schema', () => {
  it('is read once, also for several who ask at once', async () => {
    const schemas = createApiSchemas(apis, () => now);
    const [one, other] = await Promise.all([schemas.of('pve1'), schemas.of('pve1')]);
    expect(one).toBe(other);
    expect(await schemas.of('pve1')).toBe(one);
    expect([asked('/apidoc.js'), asked('/version')]).toEqual([1, 1]);
  });

  it('is read again when its version has changed, and after an hour', async () => {
    const schemas = createApiSchemas(apis, () => now);
    const first = await schemas.of('pve1');
    now += 61_000;
    expect(await schemas.of('pve1')).toBe(first);
    expect([asked('/apidoc.js'), asked('/version')]).toEqual([1, 2]);
    now += 3_600_000;
    expect(await schemas.of('pve1')).not.toBe(first);
    expect(asked('/apidoc.js')).toBe(2);
  });

  it('is missed with what to do, and looked for again by the next who asks', async () => {
    const schemas = createApiSchemas(apis, () => now);
    simulator.state.apiViewer.file = 'missing';
    const error = await failureOf(schemas.of('pve1'));
    expect(error).toMatchObject({
      code: 'proxmox-not-found',
      remedy: expect.stringContaining('apt-get install pve-docs'),
    });
    simulator.state.apiViewer.file = { body: of('a') };
    expect((await schemas.of('pve1')).templates).toEqual(['/a']);
  });

  it.each([
    ['garbage', '<html>', 'assigns no list'],
    ['empty', 'const apiSchema = [];', 'has no call in it'],
  ])('that is %s is refused with the host’s name', async (_what, body, why) => {
    simulator.state.apiViewer.file = { body };
    const error = await failureOf(createApiSchemas(apis, () => now).of('pve1'));
    expect(error).toMatchObject({ code: 'unexpected-answer' });
    expect(error.message).toContain(why);
    expect(error.message).toContain('pve1');
  });
});
