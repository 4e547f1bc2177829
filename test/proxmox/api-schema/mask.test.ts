import { describe, expect, it } from 'vitest';
import { masked, maskSecrets } from '../../../src/proxmox/api-schema/mask.ts';

const mask = (data: unknown, path = '/nodes/pve1/qemu/100/config') => maskSecrets(data, path);

describe('secrets in answers', () => {
  it('are masked by the names of their fields, wherever they stand', () => {
    expect(
      mask({
        cipassword: 'hunter2',
        memory: 512,
        list: [{ id: 'influx', token: 't-1', server: 's' }],
        realm: { 'client-key': 'k', 'client-id': 'i' },
        'encryption-key': 'e',
        secret: [{ name: 'a', value: 'b' }],
        password: null,
      }),
    ).toEqual({
      cipassword: masked,
      memory: 512,
      list: [{ id: 'influx', token: masked, server: 's' }],
      realm: { 'client-key': masked, 'client-id': 'i' },
      'encryption-key': masked,
      secret: masked,
      password: null,
    });
  });

  it('are masked where a field says of which option a value is', () => {
    expect(
      mask([
        { key: 'cipassword', value: '$5$x', pending: '$5$y' },
        { key: 'memory', value: 512 },
      ]),
    ).toEqual([
      { key: 'cipassword', value: masked, pending: masked },
      { key: 'memory', value: 512 },
    ]);
    expect(mask({ key: 'pve2c-1234', serverid: 'A' }, '/nodes/pve1/subscription')).toEqual({
      key: masked,
      serverid: 'A',
    });
  });

  it('are masked in texts of several lines', () => {
    const text = [
      'memory: 512',
      'cipassword: $5$abc',
      '  key = AQBx==',
      '"password": "p",',
      '- token: t',
      '-----BEGIN RSA PRIVATE KEY-----',
      'MIIE',
      '-----END RSA PRIVATE KEY-----',
      'net0: virtio,bridge=vmbr0',
    ].join('\n');
    const shown = String(mask(text));
    for (const secret of ['$5$abc', 'AQBx', '"p"', 'token: t', 'MIIE']) expect(shown).not.toContain(secret);
    expect(shown).toContain('memory: 512');
    expect(shown).toContain('net0: virtio,bridge=vmbr0');
  });

  it('are masked where only the path says so', () => {
    expect(mask({ plugin: 'x', data: 'API_KEY=1' }, '/cluster/acme/plugins/x')).toEqual({ plugin: 'x', data: masked });
    expect(mask({ data: 'x' }, '/cluster/options')).toEqual({ data: 'x' });
  });

  it('are not what only sounds like one', () => {
    const harmless = { tokenid: 'a', hotplug: 'disk', keyboard: 'de', 'lock-token': 'l', monkey: 1, tokens: ['a'] };
    expect(mask(harmless)).toEqual(harmless);
  });

  it('are looked for in anything, in time', () => {
    let deep: unknown = { password: 'x' };
    for (let depth = 0; depth < 5_000; depth += 1) deep = [deep];
    expect(JSON.stringify(mask(deep))).not.toContain('password');
    const began = performance.now();
    mask(`${' '.repeat(200_000)}\n${'-----BEGIN '.repeat(20_000)}\n${'a'.repeat(300_000)}`);
    mask(`-----BEGIN ${'A '.repeat(100_000)}\n`);
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(mask(JSON.parse('{"__proto__":{"password":"x"}}'))).not.toHaveProperty('password');
  });
});
