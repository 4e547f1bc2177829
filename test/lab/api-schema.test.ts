import { runInNewContext } from 'node:vm';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiSchema, findSchemaEntry, schemaMethod } from '../../lab/proxmox/schema.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';

describe('the schema of the API', () => {
  it('has every path and says what each call needs', () => {
    expect(Object.keys(apiSchema()).length).toBe(435);
    expect(schemaMethod('POST', '/nodes/{node}/qemu/{vmid}/status/start')).toMatchObject({
      permissions: { check: ['perm', '/vms/{vmid}', ['VM.PowerMgmt']] },
      protected: 1,
      proxyto: 'node',
    });
    expect(schemaMethod('POST', '/nodes/{node}/qemu')?.parameters?.['net[n]']?.format).toMatchObject({
      model: { default_key: 1 },
      bridge: { optional: 1 },
    });
    expect(schemaMethod('GET', 'constructor')).toBeUndefined();
  });

  it('finds the entry of a path, fixed words before parameters, and a volume with its slashes', () => {
    expect(findSchemaEntry('/nodes/pve1/qemu/100/config')).toMatchObject({
      path: '/nodes/{node}/qemu/{vmid}/config',
      bound: { node: 'pve1', vmid: '100' },
    });
    expect(findSchemaEntry('/cluster/ha/status/current')?.path).toBe('/cluster/ha/status/current');
    expect(findSchemaEntry('/nodes/pve1/storage/local/content/local:iso/a.iso')).toMatchObject({
      path: '/nodes/{node}/storage/{storage}/content/{volume}',
      bound: { volume: 'local:iso/a.iso' },
    });
    expect(findSchemaEntry('/nosuch')).toBeUndefined();
  });
});

describe('the file of the API viewer', () => {
  let simulator: ProxmoxSimulator;
  let agent: Agent;
  beforeAll(async () => {
    simulator = await createProxmoxSimulator();
    agent = new Agent({ connect: { ca: simulator.caPem } });
  });
  afterAll(async () => {
    await agent.close();
    await simulator.close();
  });
  const read = async () => {
    const answer = await request(`${simulator.url}/pve-docs/api-viewer/apidoc.js`, { dispatcher: agent });
    const type = answer.headers['content-type'];
    return { status: answer.statusCode, reason: answer.statusText, type, text: await answer.body.text() };
  };

  it('is JavaScript that holds the schema as a tree, without signing in', async () => {
    const { text, ...answer } = await read();
    expect(answer).toEqual({ status: 200, reason: 'OK', type: 'application/javascript' });
    const Ext = { onReady: () => undefined };
    interface Node {
      readonly path: string;
      readonly children?: readonly Node[];
      readonly info?: Readonly<Record<string, unknown>>;
    }
    const roots = runInNewContext(`${text};apiSchema`, { Ext }) as readonly Node[];
    const paths: string[] = [];
    const walk = (node: Node) => {
      paths.push(node.path);
      node.children?.forEach(walk);
    };
    roots.forEach(walk);
    expect(paths.sort()).toEqual(Object.keys(apiSchema()).sort());
    expect(roots.map(({ path }) => path).sort()).toEqual([
      '/access',
      '/cluster',
      '/nodes',
      '/pools',
      '/storage',
      '/version',
    ]);
    expect(JSON.stringify(roots.find(({ path }) => path === '/version')?.info)).toContain('"allowtoken":1');
  });

  it('may be missing or something else', async () => {
    const { apiViewer } = simulator.state;
    apiViewer.file = 'missing';
    const file = '/usr/share/pve-docs/api-viewer/apidoc.js';
    const reason = `unable to open file '${file}' - No such file or directory`;
    expect(await read()).toEqual({ status: 500, reason, type: undefined, text: reason });
    apiViewer.file = 'no-folder';
    expect(await read()).toMatchObject({
      status: 500,
      reason: "no such file '/pve-docs/api-viewer/apidoc.js'",
    });
    apiViewer.file = { body: '<html>' };
    expect(await read()).toMatchObject({ status: 200, text: '<html>' });
  });
});
