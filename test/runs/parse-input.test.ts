import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Config, HostConfig } from '../../src/config.ts';
import { ServiceError } from '../../src/errors.ts';
import { changeGuests } from '../../src/operations/change-guests.ts';
import { defineOperation } from '../../src/operations/definition.ts';
import { hostName, hostOfCluster, vmid } from '../../src/operations/inputs.ts';
import { parseInput } from '../../src/runs/parse-input.ts';
import { loadedConfig } from '../support/config.ts';

const described = {
  title: 'T',
  summary: 'S',
  description: 'D',
  guide: '–',
  risk: 'change',
  exposure: 'search',
  idempotent: true,
  output: () => z.object({}),
  steps: [],
  schedules: [],
} as const;
const onHost = defineOperation({
  ...described,
  name: 'on-host',
  target: 'host',
  needs: 'commands',
  input: () => z.object({ host: hostName() }),
});
const onGuest = defineOperation({
  ...described,
  name: 'on-guest',
  target: 'guest',
  needs: 'api',
  input: () => z.object({ host: hostOfCluster(), vmid: vmid() }),
});
const onFleet = defineOperation({
  ...described,
  name: 'on-fleet',
  target: 'fleet',
  needs: 'either',
  input: () => z.object({ hosts: z.array(hostName()).optional() }),
});

const base = loadedConfig();
const api = { host: 'h', port: 8006, user: 'u@pve', tokenName: 't', trust: { kind: 'system' } } as const;
function host(name: string, ways: 'ssh' | 'api' | 'both'): HostConfig {
  const [template] = base.hosts;
  if (template?.api === undefined || template.ssh === undefined) throw new Error('no template');
  return {
    name,
    layout: template.layout,
    timeZone: 'UTC',
    ...(ways === 'api' ? {} : { ssh: template.ssh }),
    ...(ways === 'ssh' ? {} : { api: { ...template.api, ...api } }),
  };
}
const withHosts = (...hosts: readonly HostConfig[]): Config => ({ ...base, hosts });
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'invalid-input') return error.message;
    throw error;
  }
  return expect.unreachable('it should have been refused');
}

describe('the input of a run', () => {
  it('need not name the host where only one can be meant', () => {
    const config = withHosts(host('pve1', 'ssh'), host('pve2', 'api'));
    expect(parseInput(onHost, {}, config)).toEqual({ host: 'pve1' });
    expect(parseInput(onGuest, { vmid: 100 }, config)).toEqual({ host: 'pve2', vmid: 100 });
    expect(refusal(() => parseInput(onGuest, { vmid: 100 }, withHosts()))).toContain('none is configured');
    expect(refusal(() => parseInput(onHost, {}, withHosts(host('pve1', 'ssh'), host('pve3', 'both'))))).toContain(
      'host: it is missing; there are pve1, pve3',
    );
  });

  it('names a host that lacks what the operation needs, and what that is', () => {
    const config = withHosts(host('pve1', 'ssh'), host('pve2', 'api'));
    expect(refusal(() => parseInput(onHost, { host: 'pve2' }, config))).toContain(
      "host: pve2 isn't reached by SSH or local execution",
    );
    expect(refusal(() => parseInput(onGuest, { host: 'pve1', vmid: 100 }, config))).toContain('the Proxmox API');
    expect(refusal(() => parseInput(onHost, { host: 'pve9' }, config))).toContain(
      'there is no host "pve9", only pve1, pve2',
    );
  });

  it('of a fleet may leave the hosts out, and names one that is not there', () => {
    const config = withHosts(host('pve1', 'ssh'), host('pve2', 'api'));
    expect(parseInput(onFleet, undefined, config)).toEqual({});
    expect(refusal(() => parseInput(onFleet, { hosts: ['pve1', 'pve3'] }, config))).toContain('no host "pve3"');
  });

  it('says every problem at once', () => {
    const config = withHosts(host('pve1', 'both'));
    const said = refusal(() => parseInput(onGuest, { host: 'pve1', vmid: 7, wmid: 100 }, config));
    expect(said).toContain('vmid:');
    expect(said).toContain('wmid');
    expect(refusal(() => parseInput(onHost, 'pve1', config))).toContain('expected an object');
  });
});

describe('a bulk form', () => {
  const given = { host: 'pve1', change: 'snapshot', tag: 'web' };
  const config = withHosts(host('pve1', 'api'));

  it('is taken with what its change takes', () => {
    expect(parseInput(changeGuests, { ...given, with: { snapshot: 'before' } }, config)).toMatchObject({
      change: 'snapshot',
      atOnce: 8,
    });
  });

  it.each([
    ['a field is missing', {}, /with\.snapshot: .*\(snapshot-guest takes snapshot, description, withRam\)/],
    ['a field is wrong', { snapshot: '1' }, /with\.snapshot: expected 2 to 40 letters/],
    ['a field is unknown', { snapshot: 'before', ram: true }, /with: .*"ram"/],
    ['it names a guest by itself', { snapshot: 'before', vmid: 100 }, /with\.vmid: expected beside the change/],
  ])('is refused before anything is started where %s', (_, fields, message) => {
    expect(refusal(() => parseInput(changeGuests, { ...given, with: fields }, config))).toMatch(message);
  });
});
