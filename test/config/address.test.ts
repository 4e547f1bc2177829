import fc from 'fast-check';
import { expect, it } from 'vitest';
import { canonicalAddress, isHostAddress, urlHost } from '../../src/address.ts';

it.each(['pve1', 'PVE1.example.org.', 'a_b', '192.0.2.1', '2001:db8::1', '::1', 'pve-0x10', '1a.example'])(
  'takes %s',
  (text) => {
    expect(isHostAddress(text)).toBe(true);
  },
);

it.each([
  'fe80::1%eth0',
  '192.168.1.1370',
  '1.2.3',
  '127.1',
  '4',
  '0x7f000001',
  '0x7f.1',
  'pve.1',
  'xn--a',
  '[::1]',
  '1.2.3.4.',
  'a b',
  'a/b',
  'a:1',
  '-a',
  '',
])('refuses %j', (text) => {
  expect(isHostAddress(text)).toBe(false);
});

it('takes nothing that a URL would change or refuse', () => {
  const part = fc.constantFrom('a', '0x1', '12', 'xn--', '-', '.', ':', '%', 'fe80', '::', '_', 'Z');
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 5 }).map((parts) => parts.join('')),
      (text) => {
        if (!isHostAddress(text)) return;
        const { hostname, port, pathname } = new URL(`https://${urlHost(text)}:8006/`);
        expect({ port, pathname }).toEqual({ port: '8006', pathname: '/' });
        expect(canonicalAddress(hostname.replace(/^\[|\]$/g, ''))).toBe(canonicalAddress(text));
      },
    ),
    { numRuns: 2_000 },
  );
});

it.each([
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:C000:0201', '192.0.2.1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['2001:DB8:0::1', '2001:db8::1'],
  ['PVE1.Example.org.', 'pve1.example.org'],
])('knows %s as %s', (text, same) => {
  expect(canonicalAddress(text)).toBe(same);
});
