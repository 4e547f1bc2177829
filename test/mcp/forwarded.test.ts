import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFindOrigin } from '../../src/mcp/http/forwarded.ts';
import { createLimiter, defaultLimits } from '../../src/mcp/http/limits.ts';

const from = (remoteAddress: string | undefined, headers: IncomingHttpHeaders = {}) => ({
  headers,
  socket: { remoteAddress } as Socket,
});
const of = (trusted: readonly string[], remoteAddress: string, headers: IncomingHttpHeaders) =>
  createFindOrigin(trusted)(from(remoteAddress, headers));

describe('who sends a request', () => {
  it('is the connection, whatever it says, where no proxy is named', () => {
    const headers = {
      'x-forwarded-for': '203.0.113.9',
      forwarded: 'for=203.0.113.9;proto=https;host=evil.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil.example',
      host: 'mcp.example',
    };
    const unbelieved = { byProxy: false, scheme: undefined, host: 'mcp.example' };
    expect(of([], '198.51.100.7', headers)).toEqual({ address: '198.51.100.7', ...unbelieved });
    expect(of(['10.0.0.0/8'], '198.51.100.7', headers)).toEqual({ address: '198.51.100.7', ...unbelieved });
    expect(createFindOrigin()(from(undefined, headers)).address).toBe('unknown');
  });

  it.each([
    // One proxy, and what a client wrote before it.
    ['10.0.0.2', '203.0.113.9', '203.0.113.9'],
    ['10.0.0.2', '1.2.3.4, 203.0.113.9', '203.0.113.9'],
    ['10.0.0.2', '10.0.0.3, 203.0.113.9', '203.0.113.9'],
    // Two of them.
    ['10.0.0.2', '203.0.113.9, 10.0.0.3', '203.0.113.9'],
    ['10.0.0.2', '1.2.3.4,203.0.113.9,10.0.0.3', '203.0.113.9'],
    // Everybody is named: a client inside.
    ['10.0.0.2', '10.0.0.9, 10.0.0.3', '10.0.0.9'],
    // What is no address ends the reading.
    ['10.0.0.2', '203.0.113.9, unknown', '10.0.0.2'],
    ['10.0.0.2', '203.0.113.9, <script>, 10.0.0.3', '10.0.0.3'],
    ['10.0.0.2', '', '10.0.0.2'],
    ['10.0.0.2', ', ,', '10.0.0.2'],
    ['10.0.0.2', '999.1.1.1', '10.0.0.2'],
    // Spellings.
    ['10.0.0.2', '203.0.113.9:4711', '203.0.113.9'],
    ['10.0.0.2', '[2001:db8::9]:4711', '2001:db8::9'],
    ['10.0.0.2', '2001:0DB8:0:0::9', '2001:db8::9'],
    ['10.0.0.2', '[2001:db8::9]', '2001:db8::9'],
    ['10.0.0.2', 'fe80::1%eth0', 'fe80::1'],
    ['10.0.0.2', '::ffff:203.0.113.9', '203.0.113.9'],
    ['::ffff:10.0.0.2', '203.0.113.9', '203.0.113.9'],
    ['::ffff:10.0.0.2', '203.0.113.9, ::ffff:10.0.0.3', '203.0.113.9'],
    ['2001:db8:1::2', '203.0.113.9', '203.0.113.9'],
    ['::1', '203.0.113.9', '203.0.113.9'],
  ])('%s says %j: %s', (peer, header, address) => {
    const trusted = ['10.0.0.0/8', '2001:db8:1::/48', '::1'];
    expect(of(trusted, peer, { 'x-forwarded-for': header }).address).toBe(address);
  });

  it.each([
    ['for=203.0.113.9', { address: '203.0.113.9' }],
    [
      'For="[2001:db8::9]:4711";proto=https;host="mcp.example"',
      { address: '2001:db8::9', scheme: 'https', host: 'mcp.example' },
    ],
    ['for=1.2.3.4;proto=http, for=203.0.113.9;proto=https;by=10.0.0.2', { address: '203.0.113.9', scheme: 'https' }],
    ['for="1.2.3.4, for=5.6.7.8"', { address: '10.0.0.2' }],
    ['for=_hidden', { address: '10.0.0.2' }],
    ['for=unknown, for=10.0.0.3', { address: '10.0.0.3' }],
    ['for="203.0.113.9', { address: '10.0.0.2' }],
    [';;,,=', { address: '10.0.0.2' }],
    ['proto=gopher;for=203.0.113.9', { address: '203.0.113.9', scheme: undefined }],
  ])('Forwarded: %s', (forwarded, expected) => {
    expect(of(['10.0.0.0/8'], '10.0.0.2', { forwarded })).toMatchObject(expected);
  });

  it('Forwarded, which most proxies pass on as it came, says nothing beside X-Forwarded-For', () => {
    const headers = { forwarded: 'for=1.2.3.4;proto=https;host=evil.example', 'x-forwarded-for': '203.0.113.9' };
    expect(of(['10.0.0.2'], '10.0.0.2', headers)).toEqual({
      address: '203.0.113.9',
      byProxy: true,
      scheme: undefined,
      host: undefined,
    });
  });

  it('scheme and host are those that the nearest proxy has written', () => {
    const headers = {
      'x-forwarded-proto': 'http, https',
      'x-forwarded-host': 'evil.example, mcp.example',
      host: '127.0.0.1:8080',
    };
    expect(of(['10.0.0.2'], '10.0.0.2', headers)).toMatchObject({ scheme: 'https', host: 'mcp.example' });
    expect(of(['10.0.0.2'], '10.0.0.2', { host: 'mcp.example' })).toMatchObject({
      scheme: undefined,
      host: 'mcp.example',
    });
  });

  it('no header makes a client one that it isn’t: the rightmost hop that isn’t named counts', () => {
    const proxies = createFindOrigin(['10.0.0.0/8']);
    fc.assert(
      fc.property(
        fc.string(),
        fc.ipV4().filter((one) => !one.startsWith('10.')),
        (written, client) => {
          const header = `${written}, ${client}, 10.1.1.1`;
          expect(proxies(from('10.0.0.2', { 'x-forwarded-for': header })).address).toBe(client);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('the limits of an address', () => {
  it('are each client’s own behind a proxy that is named, and the proxy’s else', async () => {
    const client = (address: string) => from('10.0.0.2', { 'x-forwarded-for': address }) as never;
    const limits = { ...defaultLimits, failedPerAddress: 1 };
    const named = createLimiter(limits)(createFindOrigin(['10.0.0.2']));
    expect(await named.failed(client('203.0.113.9'))).toBeUndefined();
    expect(await named.failed(client('203.0.113.10'))).toBeUndefined();
    expect(await named.failed(client('1.1.1.1, 203.0.113.9'))).toBeGreaterThan(0);
    const unnamed = createLimiter(limits)(createFindOrigin());
    expect(await unnamed.failed(client('203.0.113.9'))).toBeUndefined();
    expect(await unnamed.failed(client('203.0.113.10'))).toBeGreaterThan(0);
  });

  it.each([
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', true],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['2001:db8::1', '2001:db8:0:0:9::1', true],
    ['2001:db8::1', '2001:db8:0:1::1', false],
    ['::1', '::2', true],
    ['::ffff:203.0.113.9', '203.0.113.9', true],
    ['203.0.113.9', '203.0.113.10', false],
  ])('%s and %s count together: %s', async (one, other, together) => {
    const limiter = createLimiter({ ...defaultLimits, failedPerAddress: 1 })(createFindOrigin());
    await limiter.failed(from(one) as never);
    expect((await limiter.failed(from(other) as never)) !== undefined).toBe(together);
  });
});
