import { describe, expect, it } from 'vitest';
import { differencesOf, readsAs } from '../../../src/operations/api-state.ts';
import { stateOf } from '../../../src/proxmox/api-schema/state-of.ts';

describe('a state', () => {
  it('is the same whatever the order, and whatever changes by itself', () => {
    const one = stateOf('/x', [
      { vmid: 100, name: 'a', uptime: 5, cpu: 0.1 },
      { vmid: 101, name: 'b' },
    ]);
    const other = stateOf('/x', [
      { name: 'b', vmid: 101 },
      { cpu: 0.9, uptime: 7, name: 'a', vmid: 100 },
    ]);
    expect(one.digest).toBe(other.digest);
    expect(one.fields).toEqual({ '100.name': 'a', '100.vmid': '100', '101.name': 'b', '101.vmid': '101' });
  });

  it('is another where a setting is, also one that is named like a figure', () => {
    expect(stateOf('/x', { cpu: 'host' }).digest).not.toBe(stateOf('/x', { cpu: 'kvm64' }).digest);
    expect(stateOf('/x', { digest: 'a' }).digest).toBe(stateOf('/x', { digest: 'b' }).digest);
    expect(stateOf('/x', []).digest).not.toBe(stateOf('/x', null).digest);
  });

  it('is bounded, and still tells what it doesn’t keep apart', () => {
    const many = (last: number) =>
      Object.fromEntries(Array.from({ length: 900 }, (_, at) => [`f${at}`, at === 899 ? last : at]));
    const [a, b] = [stateOf('/x', many(1)), stateOf('/x', many(2))];
    expect(Object.keys(a.fields)).toHaveLength(250);
    expect(a.more).toBe(650);
    expect(a.digest).not.toBe(b.digest);
    expect(JSON.stringify(stateOf('/x', { a: 'x'.repeat(9_999), '\u001b[31m': '\u202e' })).length).toBeLessThan(800);
  });
});

describe('differences', () => {
  it('say what was, is new and is gone', () => {
    expect(differencesOf({ a: '1', b: '2', c: '3' }, { a: '1', b: '4', d: '5' })).toEqual([
      'b: 2 → 4',
      'c: 3 → gone',
      'd: new → 5',
    ]);
  });
});

it('a field reads as asked, also where Proxmox writes it in its own way', () => {
  expect(readsAs('2048', '2048')).toBe(true);
  expect(readsAs('virtio,bridge=vmbr0', 'virtio=BC:24:11:00:00:01,bridge=vmbr0')).toBe(true);
  expect(readsAs('a;b', 'b;a')).toBe(true);
  expect(readsAs('virtio,bridge=vmbr1', 'virtio=BC:24:11:00:00:01,bridge=vmbr0')).toBe(false);
  expect(readsAs('2048', undefined)).toBe(false);
});
