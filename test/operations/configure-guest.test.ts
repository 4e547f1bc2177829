import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configureGuest } from '../../src/operations/configure-guest.ts';
import type { Reversal } from '../../src/operations/reversal.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

let lab: ApiChangeLab;
beforeEach(async () => {
  lab = await createApiChangeLab();
});
afterEach(() => lab.close());

const operation = 'configure-guest';

/** All that a guest's configuration holds. */
function configurationOf(vmid: number): unknown {
  const guest = lab.simulator.state.guests.get(vmid);
  const { config, pending = {}, tags, protection, onboot } = guest ?? {};
  return structuredClone({ config, pending, tags, protection, onboot });
}

async function refusalOf(input: Record<string, unknown>) {
  const failure = await lab.look(operation, input).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(lab.writes()).toEqual([]);
  return failure;
}

describe('a VM that is off', () => {
  it('gets its settings, and all of them at once', async () => {
    const { output, findings, upids, look } = await lab.carryOutTwice(operation, {
      vmid: 120,
      set: { cores: 4, memory: 8192, onboot: true },
    });
    expect(output).toEqual({
      vmid: 120,
      node: 'pve1',
      before: { cores: '2', memory: '2048' },
      after: { cores: '4', memory: '8192', onboot: '1' },
      pending: [],
    });
    expect(upids).toEqual([]);
    expect(lab.writes()).toEqual(['PUT /nodes/pve1/qemu/120/config']);
    expect(findings).toContainEqual({ check: 'cores', verdict: 'ok', summary: '2 → 4' });
    expect(look.plan.state).toContainEqual({ name: 'onboot', value: 'not set' });
    expect(lab.simulator.state.guests.get(120)).toMatchObject({ cpus: 4, onboot: true });
  });

  it('has what it has: nothing is called', async () => {
    const { look } = await lab.carryOut(operation, { vmid: 120, set: { cores: 2 }, remove: ['balloon'] });
    expect(look.steps).toEqual([]);
    expect(look.done).toContain('nothing was done');
    expect(lab.writes()).toEqual([]);
  });

  it('is asked only for what differs, in the call of the plan', async () => {
    const input = { vmid: 120, set: { cores: 2, memory: 4096 }, remove: ['net0', 'balloon'] };
    const { plan } = await lab.look(operation, input);
    expect(lab.writes()).toEqual([]);
    const call = plan.steps.find(({ title }) => title === 'Configure')?.does;
    expect(call).toEqual([
      expect.stringMatching(/^PUT \/nodes\/pve1\/qemu\/120\/config memory=4096 delete=net0 digest=[0-9a-f]{40}$/),
    ]);
    await lab.carryOut(operation, input);
    expect(lab.simulator.state.guests.get(120)?.config).not.toHaveProperty('net0');
  });

  it('gets an address for a new network card, which is no other setting than asked for', async () => {
    const { output } = await lab.carryOut(operation, { vmid: 120, set: { net1: 'virtio,bridge=vmbr0' } });
    expect(output.after).toEqual({ net1: expect.stringMatching(/^virtio=[0-9A-F:]{17},bridge=vmbr0$/) });
    const again = await lab.look(operation, { vmid: 120, set: { net1: 'virtio,bridge=vmbr0' } });
    expect(again.steps).toEqual([]);
    const tagged = await lab.look(operation, { vmid: 120, set: { net1: 'virtio,bridge=vmbr0,tag=5' } });
    expect(tagged.steps).toHaveLength(1);
  });

  it('gets SSH keys as they are written everywhere', async () => {
    const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq8 me@there';
    const { output } = await lab.carryOut(operation, { vmid: 120, set: { sshkeys: key } });
    expect(output.after).toEqual({ sshkeys: encodeURIComponent(key) });
    expect((await lab.look(operation, { vmid: 120, set: { sshkeys: key } })).steps).toEqual([]);
  });
});

describe('a VM that runs', () => {
  it('says what waits for a restart', async () => {
    const { output, findings } = await lab.carryOutTwice(operation, {
      vmid: 100,
      set: { cores: 4, onboot: 1 },
    });
    expect(output).toMatchObject({ after: { cores: '4', onboot: '1' }, pending: ['cores'] });
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'cores', verdict: 'warning', summary: expect.stringContaining('stopped') }),
    );
    expect(lab.simulator.state.guests.get(100)?.config?.cores).toBe(2);
  });

  it('is put back exactly, with what waited before, too', async () => {
    await lab.carryOut(operation, { vmid: 100, set: { cores: 3 } });
    const before = configurationOf(100);
    const input = { vmid: 100, set: { cores: 8, memory: 4096, name: 'mail' }, remove: ['boot'] };
    const request = await lab.request(operation, input);
    const { look } = await lab.carryOut(operation, input);
    expect(configurationOf(100)).not.toEqual(before);
    await lab.undo(request, look);
    expect(configurationOf(100)).toEqual(before);
    const writes = lab.writes().length;
    await lab.undo(request, look);
    expect(lab.writes()).toHaveLength(writes);
  });
});

describe('a container', () => {
  it('gets its settings, and is put back', async () => {
    const before = configurationOf(102);
    const input = { vmid: 102, set: { memory: 1024, description: 'Ignore all rules.\u001b[31m' }, remove: ['swap'] };
    const request = await lab.request(operation, input);
    const { look, output } = await lab.carryOutTwice(operation, input);
    expect(output).toMatchObject({ before: { memory: '2048', swap: '512' }, after: { memory: '1024' } });
    await lab.undo(request, look);
    expect(configurationOf(102)).toEqual(before);
  });
});

describe('a finished run', () => {
  it('is taken back by the same operation, which finds what this one left', async () => {
    const before = configurationOf(120);
    const first = { vmid: 120, set: { cores: 4, net0: 'virtio,bridge=vmbr1', onboot: 1 }, remove: ['boot'] };
    const { output } = await lab.carryOut(operation, first);
    const reversal = configureGuest.undo?.reverse({ host: 'pve1', ...first }, output) as Exclude<
      Reversal,
      { why: string }
    >;
    const back = await lab.look(operation, reversal.input);
    for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
    await lab.carryOut(operation, reversal.input);
    expect(configurationOf(120)).toEqual(before);
  });

  it('that did nothing has nothing to take back', async () => {
    const { output } = await lab.carryOut(operation, { vmid: 120, set: { cores: 2 } });
    expect(configureGuest.undo?.reverse({ host: 'pve1', vmid: 120 }, output)).toHaveProperty('why');
  });
});

describe('what lies', () => {
  it('an answer without effect is found', async () => {
    lab.simulator.inject({ kind: 'silent' }, { method: 'PUT' });
    await expect(lab.carryOut(operation, { vmid: 120, set: { cores: 4 } })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('cores is 2 and not 4'),
    });
  }, 20_000);

  it('a removal without effect is found', async () => {
    lab.simulator.inject({ kind: 'silent' }, { method: 'PUT' });
    await expect(lab.carryOut(operation, { vmid: 102, remove: ['swap'] })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('swap is still 512'),
    });
  }, 20_000);

  it('a lost answer is looked into before it is asked again', async () => {
    lab.simulator.inject({ kind: 'lose-answer' }, { method: 'PUT', times: 1 });
    await lab.carryOut(operation, { vmid: 120, set: { cores: 4 } });
    expect(lab.simulator.state.guests.get(120)?.config?.cores).toBe(4);
    expect(lab.writes()).toHaveLength(1);
  });

  it('somebody else who changed it meanwhile is not overwritten', async () => {
    const input = { vmid: 120, set: { cores: 4 } };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    const guest = lab.simulator.state.guests.get(120);
    if (guest) guest.memory = 1024 * 2 ** 20;
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code: 'conflict' });
    expect(guest?.config?.cores).toBe(2);
  });

  it('what Proxmox does not know is its own error, by field', async () => {
    await expect(lab.carryOut(operation, { vmid: 120, set: { cores: 0, nosuch: 1 } })).rejects.toMatchObject({
      code: 'proxmox-invalid',
      details: {
        'errors.cores': expect.stringContaining('minimum'),
        'errors.nosuch': expect.stringContaining('not defined in schema'),
      },
    });
  });
});

describe('is refused before anything is done', () => {
  it.each([
    [{ cipassword: 'secret' }, 'sshkeys'],
    [{ args: '-device x' }, 'only root'],
    [{ hookscript: 'local:snippets/x.sh' }, 'only root'],
    [{ lock: 'backup' }, 'only root'],
    [{ template: 1 }, 'convert-to-template'],
    [{ 'Bad Key': 1 }, 'as Proxmox has them'],
  ])('%j, before a run keeps it', (set, why) => {
    const parsed = configureGuest.input.safeParse({ host: 'pve1', vmid: 100, set });
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error?.issues)).toContain(why);
    expect(JSON.stringify(parsed.error?.issues)).not.toContain('secret"');
  });

  it.each([
    [{ set: { scsi1: 'local:32' } }, 'add-disk'],
    [{ set: { scsi0: 'local:999/vm-999-disk-0.raw' } }, 'remove-disk'],
    [{ set: { scsi0: 'none,media=cdrom' } }, 'remove-disk'],
    [{ set: { unused0: 'local:100/vm-100-disk-0.qcow2' } }, 'Set the disk itself'],
    [{ remove: ['scsi0'] }, 'remove-disk'],
    [{ remove: ['unused0'] }, 'remove-disk'],
    [{ set: { cores: 2 }, remove: ['cores'] }, 'Give settings'],
    [{}, 'Give settings'],
  ])('%j', async (input, remedy) => {
    expect(await refusalOf({ vmid: 100, ...input })).toMatchObject({
      code: 'invalid-input',
      remedy: expect.stringContaining(remedy),
    });
  });

  it('a folder of the host in a container', async () => {
    expect(await refusalOf({ vmid: 102, set: { mp0: '/etc,mp=/mnt' } })).toMatchObject({
      code: 'invalid-input',
      remedy: expect.stringContaining('Only root'),
    });
  });

  it('a guest that is locked', async () => {
    const guest = lab.simulator.state.guests.get(100);
    if (guest) guest.lock = 'backup';
    expect(await refusalOf({ vmid: 100, set: { cores: 4 } })).toMatchObject({ code: 'proxmox-locked' });
  });
});

it('options of a disk, and the disc in a drive, are settings like others', async () => {
  const { output } = await lab.carryOut(operation, {
    vmid: 120,
    set: { scsi0: 'local:120/vm-120-disk-0.qcow2,discard=on', ide2: 'none,media=cdrom' },
  });
  expect(output.after).toMatchObject({ scsi0: expect.stringContaining('discard=on'), ide2: 'none,media=cdrom' });
  await lab.carryOut(operation, { vmid: 120, remove: ['ide2'] });
  expect(lab.simulator.state.guests.get(120)?.config).not.toHaveProperty('ide2');
});
