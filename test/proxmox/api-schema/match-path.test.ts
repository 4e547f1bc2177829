import { describe, expect, it } from 'vitest';
import { apiViewerFile } from '../../../lab/proxmox/api-viewer.ts';
import { createState } from '../../../lab/proxmox/state.ts';
import { ServiceError } from '../../../src/errors.ts';
import { checkParameters, type GivenParameters } from '../../../src/proxmox/api-schema/check-parameters.ts';
import { matchCall } from '../../../src/proxmox/api-schema/match-path.ts';
import { readViewerData } from '../../../src/proxmox/api-schema/read-viewer-data.ts';
import { createApiSchema } from '../../../src/proxmox/api-schema/schema.ts';
import type { ApiMethodName } from '../../../src/proxmox/client.ts';

const schema = createApiSchema(readViewerData(apiViewerFile(createState()), 'pve1'));
if (schema === undefined) throw new Error('the simulation serves no schema');
const match = (method: ApiMethodName, path: string) => matchCall(schema, method, path);

function refused(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof ServiceError) return `${error.message} ${error.remedy}`;
    throw error;
  }
  return 'not refused';
}

describe('a path with its values', () => {
  it.each([
    ['GET', '/nodes/pve1/qemu/100/config', '/nodes/*/qemu/*/config', ['pve1', '100']],
    ['GET', '/api2/json/nodes/pve1/qemu/100/config/', '/nodes/*/qemu/*/config', ['pve1', '100']],
    ['POST', '/nodes/pve1/qemu/100/move_disk', '/nodes/*/qemu/*/move_disk', ['pve1', '100']],
    ['GET', '/cluster/ha/status/current', '/cluster/ha/status/current', []],
    ['DELETE', '/cluster/ha/resources/vm:100', '/cluster/ha/resources/*', ['vm:100']],
    ['PUT', '/cluster/firewall/ipset/lan/10.0.0.0/8', '/cluster/firewall/ipset/*/*', ['lan', '10.0.0.0/8']],
    ['PUT', '/cluster/firewall/ipset/lan/10.0.0.0%2F8', '/cluster/firewall/ipset/*/*', ['lan', '10.0.0.0/8']],
    [
      'GET',
      '/nodes/pve1/storage/local/content/local:iso/a.iso',
      '/nodes/*/storage/*/content/*',
      ['pve1', 'local', 'local:iso/a.iso'],
    ],
  ] as const)('%s %s is found', (method, path, template, values) => {
    expect(match(method, path)).toMatchObject({ template, values });
  });

  it.each([
    ['GET', '/nodes/pve1/qemu/100/konfig', /no path .*Near it are \/nodes\/\{node\}\/qemu\/\{vmid\}\/config/],
    ['DELETE', '/nodes/pve1/qemu/100/config', /no DELETE of \/nodes.*It has GET, POST, PUT of it/],
    ['GET', '/nodes/{node}/status', /\{node\} in the path stands for a value/],
    ['GET', '/nodes/../access/users', /no path/],
    ['GET', 'nodes', /no path/],
    ['GET', '/nodes/pve1/qemu/100%2e%2fagent', /no path/],
    ['GET', `/${'a/'.repeat(400)}`, /no path/],
  ] as const)('%s %s is refused with what is near', (method, path, why) => {
    expect(refused(() => match(method, path))).toMatch(why);
  });
});

describe('parameters', () => {
  const check = (method: ApiMethodName, path: string, given: GivenParameters) =>
    checkParameters(match(method, path), given);
  const config = '/nodes/pve1/qemu/100/config';

  it('are sent in order, in the form that Proxmox reads', () => {
    const sent = check('PUT', config, {
      onboot: true,
      memory: '4096',
      cores: 2,
      net0: 'virtio,bridge=vmbr0',
      protection: 'no',
      vmid: 100,
    });
    expect(Object.entries(sent)).toEqual([
      ['cores', 2],
      ['memory', '4096'],
      ['net0', 'virtio,bridge=vmbr0'],
      ['onboot', 1],
      ['protection', 0],
    ]);
  });

  it.each([
    [{ memoory: 1 }, /parameters\.memoory: this call has no such parameter; did you mean memory\?/],
    [{ cores: 'two' }, /parameters\.cores: expected a whole number from 1/],
    [{ cores: 0 }, /parameters\.cores: expected a whole number from 1/],
    [{ cores: 1.5 }, /parameters\.cores: expected a whole number/],
    [{ onboot: 'maybe' }, /parameters\.onboot: expected true or false/],
    [{ ostype: 'plan9' }, /parameters\.ostype: expected one of other, wxp/],
    [{ vmid: 101 }, /parameters\.vmid: the path says 100/],
    [{ 'net[n]': 'virtio' }, /parameters\.net\[n\]: this call has no such parameter/],
    [{ net: 'virtio' }, /parameters\.net: this call has no such parameter/],
    [{ cores: ['1', '2'] }, /parameters\.cores: expected a whole number/],
    [{ cores: 0, onboot: 'x' }, /parameters\.cores.*; parameters\.onboot/],
  ] as [GivenParameters, RegExp][])('%j are refused by name', (given, why) => {
    expect(refused(() => check('PUT', config, given))).toMatch(why);
  });

  it('that are missing are named', () => {
    expect(refused(() => check('POST', '/pools', {}))).toMatch(/parameters\.poolid: it is missing/);
    expect(refused(() => check('PUT', '/nodes/pve1/qemu/100/resize', { size: '+1G' }))).toMatch(
      /parameters\.disk: it is missing: one of /,
    );
  });
});
