import { describe, expect, it } from 'vitest';
import { catalogue } from '../../src/operations/catalogue.generated.ts';
import { bulkChanges, callPattern, changeGuests, eachOf, ranges } from '../../src/operations/change-guests.ts';
import { needsDangerousCommands, type OperationDefinition, riskOf } from '../../src/operations/definition.ts';
import type { GuestPlace } from '../../src/operations/target.ts';

describe('what can be done to many guests', () => {
  it.each(Object.entries(bulkChanges))('%s is an operation on a guest, of its risk', (change, { operation, risk }) => {
    const found = Object.values(catalogue as Record<string, OperationDefinition>).find(
      ({ name }) => name === operation,
    );
    expect(found).toMatchObject({ target: 'guest', needs: 'api' });
    const each = eachOf({ change: change as keyof typeof bulkChanges });
    expect(riskOf(found as OperationDefinition, each.input)).toBe(risk);
    expect(riskOf(changeGuests, { change })).toBe(risk);
    expect(needsDangerousCommands(changeGuests, { change })).toBe(
      needsDangerousCommands(found as OperationDefinition, each.input),
    );
  });

  it('takes no field that its operation fixes', () => {
    expect(eachOf({ change: 'start', with: { action: 'stop' } }).input).toEqual({ action: 'start' });
  });

  it('wants a selection', () => {
    const parsed = changeGuests.input.safeParse({ host: 'pve1', change: 'start', kind: 'vm' });
    expect(parsed.error?.issues[0]).toMatchObject({
      path: ['tag'],
      message: expect.stringContaining('at least one of'),
    });
    expect(changeGuests.input.safeParse({ host: 'pve1', change: 'start', name: '*' }).success).toBe(true);
  });
});

describe('the plan of many guests', () => {
  it('names numbers that follow each other together', () => {
    expect(ranges([])).toBe('');
    expect(ranges([104, 100, 101, 102, 110])).toBe('100–102, 104, 110');
  });

  it('shows the call of all without what differs', () => {
    const place = { kind: 'guest', cluster: 'c', vmid: 100, node: 'pve1', type: 'qemu', name: 'mail' } as GuestPlace;
    expect(callPattern('POST /nodes/pve1/qemu/100/snapshot snapname=s100', place)).toBe(
      'POST /nodes/*/qemu/*/snapshot snapname=s100',
    );
    expect(callPattern('The VM 100 (mail) on pve1 is locked', place)).toBe('The VM on its node is locked');
  });
});
