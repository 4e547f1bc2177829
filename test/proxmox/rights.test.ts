import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { roles } from '../../lab/proxmox/roles.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { catalogue } from '../../src/operations/catalogue.generated.ts';
import type { OperationDefinition } from '../../src/operations/definition.ts';
import { wideNames, wideRights } from '../../src/operations/rights.ts';
import { createProxmoxApis } from '../../src/proxmox/connect.ts';
import { apiUses, changingPaths, changingRoleFor, lackedRights, readingRoleFor } from '../../src/proxmox/rights.ts';
import { hostOf, recordingLog } from './support.ts';

const known = roles.Administrator ?? [];
const everything = { dangerousCommands: true };
const all = Object.values<OperationDefinition>(catalogue);

describe('what operations need in the API', () => {
  it('is said by each that asks it for something', () => {
    // Which rights any call needs is that call's to say, and a bulk form needs what its operations do.
    const silent = all.filter(({ name, needs, target, each, api }) => {
      const isOfApi = needs === 'api' || needs === 'either' || needs === 'any';
      return name !== 'change-api' && isOfApi && target !== 'service' && each === undefined && api === undefined;
    });
    expect(silent.map(({ name }) => name)).toEqual([]);
    expect(all.filter(({ api, needs }) => api !== undefined && needs === 'commands')).toEqual([]);
  });

  it('are privileges that there are', () => {
    const named = apiUses.flatMap(({ reads, changes }) => [...reads, ...changes].map(({ privilege }) => privilege));
    expect(named.filter((privilege) => !known.includes(privilege))).toEqual([]);
  });

  it('changes nothing on / but by a right that is given only where it is asked for', () => {
    const onRoot = apiUses.flatMap(({ name, changes }) => changes.map((right) => ({ name, ...right })));
    const wide = wideNames.map((name): string => wideRights[name].privilege);
    expect(onRoot.filter(({ on, privilege }) => on === 'root' && !wide.includes(privilege))).toEqual([]);
    expect(changingPaths(everything)).not.toContain('/');
  });

  it('never gives rights away', () => {
    const giving = apiUses.flatMap(({ name, changes }) =>
      changes.filter(({ privilege }) => /^(Permissions|User|Realm|Group)\./.test(privilege)).map(() => name),
    );
    expect(giving).toEqual([]);
  });

  it('is not given for what ENABLE_DANGEROUS_COMMANDS refuses', () => {
    const of = (dangerousCommands: boolean) => changingRoleFor(known, { dangerousCommands }).privileges;
    const dangerous = apiUses.filter(({ isDangerous }) => isDangerous);
    expect(of(true)).toEqual(expect.arrayContaining([...of(false)]));
    const others = apiUses
      .filter(({ isDangerous }) => !isDangerous)
      .flatMap(({ reads, changes }) => [...reads, ...changes]);
    for (const { privilege } of dangerous.flatMap(({ changes }) => changes)) {
      if (!others.some((right) => right.privilege === privilege)) expect(of(false)).not.toContain(privilege);
    }
  });

  it('looks with what looks', () => {
    const reads = readingRoleFor(known).privileges;
    expect(reads.filter((privilege) => !/\.Audit$|^Sys\.Syslog$/.test(privilege))).toEqual([]);
    expect(readingRoleFor(known).leftOut).toEqual([]);
    expect(changingRoleFor(known, everything).leftOut).toEqual([]);
  });

  it('has on version 8 no privilege of the guest agent to look with, as that would let it do anything in a guest', () => {
    const old = [...known.filter((privilege) => !privilege.startsWith('VM.GuestAgent.')), 'VM.Monitor'];
    expect(readingRoleFor(old).privileges).not.toContain('VM.Monitor');
    // What changes something looks with it, too: a new guest's address.
    const agent = apiUses.some(
      ({ reads, changes }) =>
        changes.length > 0 && [...reads, ...changes].some(({ privilege }) => /GuestAgent/.test(privilege)),
    );
    expect(changingRoleFor(old, everything).privileges.includes('VM.Monitor')).toBe(agent);
  });
});

describe('what an API token lacks', () => {
  let simulator: ProxmoxSimulator;
  let second: ProxmoxSimulator;
  beforeEach(async () => {
    simulator = await createProxmoxSimulator({ authenticationDelayMs: 1 });
    second = await createProxmoxSimulator({ memberOf: { simulator, node: 'pve2' }, authenticationDelayMs: 1 });
  });
  afterEach(async () => {
    await second.close();
    await simulator.close();
  });

  const give = (path: string, role: string) =>
    simulator.state.acl.push({ path, subject: 'mcp@pve!limited', role, propagate: true });
  async function lacked(two = false) {
    const hosts = [hostOf('attic', simulator, simulator.tokens.limited)];
    if (two) hosts.push(hostOf('cellar', second, simulator.tokens.limited));
    const apis = createProxmoxApis({ hosts }, recordingLog().log, { learns: false });
    try {
      return await lackedRights(apis, 'attic');
    } finally {
      await apis.close();
    }
  }

  it('without any right is everything', async () => {
    const { toLook, toChange, onlyLooks } = await lacked();
    expect(toLook.find(({ privilege, path }) => privilege === 'VM.Audit' && path === '/vms')?.refused).toEqual(
      expect.arrayContaining(['check-health', 'control-guest']),
    );
    expect(toLook).toContainEqual({
      privilege: 'Sys.Audit',
      path: '/nodes/pve1',
      refused: expect.arrayContaining(['get_host']),
    });
    expect(toChange.find(({ privilege }) => privilege === 'VM.PowerMgmt')?.refused).toContain('control-guest');
    expect(onlyLooks).toBe(true);
  });

  it('with all is nothing', async () => {
    give('/', 'Administrator');
    expect(await lacked()).toMatchObject({ toLook: [], toChange: [], onlyLooks: false, wide: [] });
  });

  it('with the role to look is what changes', async () => {
    give('/', 'PVEAuditor');
    const { toLook, onlyLooks } = await lacked();
    expect(toLook.filter(({ privilege }) => privilege !== 'Sys.Syslog')).toEqual([]);
    expect(onlyLooks).toBe(true);
  });

  it('of a part of the guests is said with that part', async () => {
    give('/', 'PVEAuditor');
    give('/vms/100', 'PVEVMUser');
    const { toChange, onlyLooks } = await lacked();
    expect(toChange.find(({ privilege }) => privilege === 'VM.PowerMgmt')).toMatchObject({
      path: '/vms',
      but: 'guests 100',
    });
    expect(onlyLooks).toBe(false);
  });

  it('of its cluster’s name counts where two hosts could be in one: guests are locked by it', async () => {
    give('/vms', 'Administrator');
    give('/nodes', 'PVEAuditor');
    give('/storage', 'PVEAuditor');
    const ofName = (found: Awaited<ReturnType<typeof lacked>>) =>
      found.toLook.find(({ privilege, path }) => privilege === 'Sys.Audit' && path === '/')?.refused ?? [];
    expect(ofName(await lacked())).not.toContain('control-guest');
    expect(ofName(await lacked(true))).toContain('control-guest');
  });

  it('on version 8 is asked for by the names that it has', async () => {
    give('/', 'Administrator');
    Object.assign(simulator.state.version, { version: '8.4.1', release: '8.4' });
    const old = known.filter((privilege) => !privilege.startsWith('VM.GuestAgent.'));
    simulator.state.roles.set('Administrator', [...old, 'VM.Monitor']);
    simulator.state.roles.set('Looks', readingRoleFor(old).privileges);
    expect((await lacked()).toLook, 'with VM.Monitor').toEqual([]);
    simulator.state.acl.splice(-1);
    give('/', 'Looks');
    expect((await lacked()).toLook, 'without').toEqual([]);
  });
});
