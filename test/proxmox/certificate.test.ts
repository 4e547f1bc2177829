import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificate } from '../../lab/proxmox/certificate.ts';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { explain } from '../../src/errors.ts';
import { canonicalFingerprint, probeCertificate } from '../../src/proxmox/certificate.ts';
import { createProxmoxClient } from '../../src/proxmox/client.ts';
import { networkFailure } from '../../src/proxmox/failures.ts';
import { configFor, failureOf, recordingLog, withClient } from './support.ts';

let simulator: ProxmoxSimulator;
let folder: string;
const otherPin = 'AB'.repeat(32);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proxmox-certificate-'));
  simulator = await createProxmoxSimulator({ certificateFolder: join(folder, 'certificate') });
});
afterAll(async () => {
  await simulator.close();
  await rm(folder, { recursive: true, force: true });
});

describe('a pinned certificate', () => {
  it.each([
    ['colons', (pin: string) => pin],
    ['lower case', (pin: string) => pin.toLowerCase()],
    ['no colons', (pin: string) => pin.replaceAll(':', '')],
    ["openssl's form", (pin: string) => `sha256 Fingerprint=${pin}`],
  ])('is accepted in the form with %s', async (_, form) => {
    const config = configFor(simulator, {
      trust: { kind: 'fingerprint', sha256: form(simulator.certificateFingerprint) },
    });
    expect((await withClient(config, (client) => client.version())).release).toBe('9.1');
  });

  it('that is another one: both fingerprints, what to do, one try, and not one byte sent', async () => {
    const certificate = await makeCertificate('pve1', ['127.0.0.1']);
    let connections = 0;
    let received = 0;
    const server = createServer({ key: certificate.key, cert: certificate.certificate }, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        received += chunk.length;
        socket.destroy();
      });
    });
    server.on('connection', () => {
      connections += 1;
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const config = configFor(simulator, { port, trust: { kind: 'fingerprint', sha256: otherPin } });
    await withClient(config, async (client) => {
      for (const call of [
        () => client.version(),
        () => client.api().nodes.$('pve1').qemu.$(100).status.start.$post(),
      ]) {
        const error = await failureOf(call());
        expect(error.code).toBe('proxmox-certificate');
        expect(error.retryable).toBe(false);
        expect(explain(error)).toContain(certificate.fingerprint);
        expect(explain(error)).toContain(canonicalFingerprint(otherPin));
        expect(error.remedy).toContain('renewed');
      }
    });
    expect(connections).toBe(2);
    expect(received).toBe(0);
    // The server does see a request that is sent.
    const right = { kind: 'fingerprint', sha256: certificate.fingerprint } as const;
    await failureOf(withClient({ ...config, trust: right }, (client) => client.version(), { retries: 0 }));
    expect(received).toBeGreaterThan(0);
    await new Promise((resolve) => server.close(resolve));
  });

  it('is compared on each connection: a change while the service runs is noticed', async () => {
    const own = await createProxmoxSimulator();
    const first = own.certificateFingerprint;
    const pinnedToFirst = configFor(own);
    await withClient(pinnedToFirst, async (client) => {
      await client.version();
      await own.replaceCertificate();
      expect(own.certificateFingerprint).not.toBe(first);
      const before = own.requests.length;
      const error = await failureOf(client.version());
      expect(error.code).toBe('proxmox-certificate');
      expect(error.details).toMatchObject({ expected: first, seen: own.certificateFingerprint });
      expect(own.requests.length).toBe(before);
    });
    await withClient(configFor(own), (client) => client.version());
    await own.close();
  });

  it('still holds when the connection is made anew, with no session to resume', async () => {
    await withClient(configFor(simulator), async (client) => {
      for (let index = 0; index < 3; index += 1) {
        await client.version();
        await simulator.stopListening();
        await simulator.startListening();
      }
      expect((await client.version()).release).toBe('9.1');
    });
  });

  it.each(['', 'abc', 'AB:'.repeat(31), 'ZZ'.repeat(32)])(
    'that is no fingerprint (%j) is a configuration error',
    (pin) => {
      const config = configFor(simulator, { trust: { kind: 'fingerprint', sha256: pin } });
      expect(() => createProxmoxClient(config, { log: recordingLog().log })).toThrow(/SHA-256/);
    },
  );
});

describe('CAs', () => {
  it('a CA file is enough, and the name is checked', async () => {
    const path = simulator.caPath ?? '';
    const config = configFor(simulator, { trust: { kind: 'ca-file', path } });
    expect((await withClient(config, (client) => client.version())).release).toBe('9.1');
    expect((await withClient({ ...config, host: 'localhost' }, (client) => client.version())).release).toBe('9.1');
  });

  it('another CA, another name and no CA at all are certificate errors, without a request', async () => {
    const other = await makeCertificate('pve9', ['192.0.2.1']);
    const path = join(folder, 'other-ca.pem');
    await writeFile(path, other.ca);
    const before = simulator.requests.length;
    for (const trust of [{ kind: 'ca-file', path } as const, { kind: 'system' } as const]) {
      const error = await failureOf(withClient(configFor(simulator, { trust }), (client) => client.version()));
      expect(error.code).toBe('proxmox-certificate');
      expect(error.remedy).toContain('fingerprint');
    }
    expect(simulator.requests.length).toBe(before);

    const server = createServer({ key: other.key, cert: other.certificate });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const config = configFor(simulator, { port, trust: { kind: 'ca-file', path } });
    const error = await failureOf(withClient(config, (client) => client.version()));
    expect(error.message).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(error.code).toBe('proxmox-certificate');
    await new Promise((resolve) => server.close(resolve));
  });

  it.each([
    ['expired', -1, '127.0.0.1', 'CERT_HAS_EXPIRED', /has expired/, /pvenode acme cert order|pvecm updatecerts/],
    ['for another name', 30, '192.0.2.1', 'ALTNAME_INVALID', /is for other names/, /PROXMOX_HOST.*pin its SHA-256/],
  ])(
    'a certificate of the right CA that is %s: what to do about that',
    async (_, days, name, code, message, remedy) => {
      const made = await makeCertificate('pve1', [name], days);
      const path = join(folder, `${name}-ca.pem`);
      await writeFile(path, made.ca);
      const server = createServer({ key: made.key, cert: made.certificate });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      const config = configFor(simulator, { port, trust: { kind: 'ca-file', path } });
      const error = await failureOf(withClient(config, (client) => client.version()));
      expect(error).toMatchObject({ code: 'proxmox-certificate', retryable: false });
      expect(error.message).toContain(code);
      expect(error.message).toMatch(message);
      expect(error.remedy).toMatch(remedy);
      await new Promise((resolve) => server.close(resolve));
    },
  );

  it.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', /signed by itself/, /npx proxmox-mcp host add NAME/],
    ['SELF_SIGNED_CERT_IN_CHAIN', /or by a CA that this machine does not know/, /CA file/],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', /not signed by a CA that is trusted here/, /a CA of its own/],
    ['CERT_NOT_YET_VALID', /not valid yet/, /clocks/],
  ])('%s is said in words, with what to do', (code, message, remedy) => {
    const thrown = Object.assign(new Error('TLS'), { code });
    const error = networkFailure(thrown, { host: '192.0.2.1', port: 8006, method: 'POST' });
    expect(error).toMatchObject({ code: 'proxmox-certificate', retryable: false });
    expect(error.message).toMatch(message);
    expect(error.remedy).toMatch(remedy);
  });

  it('a CA file that is not there is named', () => {
    const config = configFor(simulator, { trust: { kind: 'ca-file', path: join(folder, 'absent.pem') } });
    expect(() => createProxmoxClient(config, { log: recordingLog().log })).toThrow(/absent\.pem can't be read/);
  });
});

describe('probeCertificate', () => {
  it('says what a person compares, and sends nothing', async () => {
    const before = simulator.requests.length;
    const probed = await probeCertificate(simulator.host, simulator.port);
    expect(probed.fingerprint).toBe(simulator.certificateFingerprint);
    expect(probed.subject).toContain('CN=pve1');
    expect(probed.issuer).toContain('O=PVE Cluster Manager CA');
    expect(probed.validTo.getTime() - Date.now()).toBeGreaterThan(700 * 86_400_000);
    expect(probed.trusted).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    expect(simulator.requests.length).toBe(before);
  });

  it('has no line that the server made up beside the fingerprint', async () => {
    const server = createServer(lyingCertificate).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { subject, issuer } = await probeCertificate('127.0.0.1', (server.address() as AddressInfo).port);
      expect([subject, issuer]).toEqual(['CN=pve1 SHA-256 00:11', 'CN=pve1 SHA-256 00:11']);
    } finally {
      server.close();
    }
  });

  it('says why there is none', async () => {
    const own = await createProxmoxSimulator();
    await own.close();
    const error = await failureOf(probeCertificate(own.host, own.port));
    expect(error.code).toBe('proxmox-unavailable');
    expect(error.message).toContain(`127.0.0.1:${own.port}`);
    const silent = createTcpServer((socket) => socket.on('error', () => undefined).resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    expect((await failureOf(probeCertificate('127.0.0.1', port, { timeoutMs: 100 }))).code).toBe('timeout');
    await new Promise((resolve) => silent.close(resolve));
  });
});

describe('the simulator’s own certificate', () => {
  it('is kept with a private key nobody else reads, and is the same at the next start', async () => {
    const kept = join(folder, 'certificate');
    const again = await createProxmoxSimulator({ certificateFolder: kept });
    expect(again.certificateFingerprint).toBe(simulator.certificateFingerprint);
    await again.close();
    expect((await stat(join(kept, 'certificate.json'))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(kept, 'pve-root-ca.pem'), 'utf8')).toBe(simulator.caPem);
    const cut = join(folder, 'cut');
    await mkdir(cut);
    await writeFile(join(cut, 'certificate.json'), '{"key":"');
    const remade = await createProxmoxSimulator({ certificateFolder: cut });
    expect(remade.certificateFingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    await remade.close();
  });
});

/** Its name is `pve1`, a line end, and `  SHA-256 00:11`; valid until 2126. */
const lyingCertificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNYR52u7i6JQlenu1
RNmZvKMg47dEpv31kB3VzK/O4q+hRANCAARfycRY6eGH/gNCCvFpCdfUadGTPsJL
dQS8s51VM4QfaPFnT/YJaPB7fBPk0bACsX/IWBpSpvsDU1PQyQdMxoLX
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBLDCB06ADAgECAgEBMAoGCCqGSM49BAMCMB8xHTAbBgNVBAMMFHB2ZTEKICBT
SEEtMjU2IDAwOjExMCAXDTI2MDEwMTAwMDAwMFoYDzIxMjYwMTAxMDAwMDAwWjAf
MR0wGwYDVQQDDBRwdmUxCiAgU0hBLTI1NiAwMDoxMTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABF/JxFjp4Yf+A0IK8WkJ19Rp0ZM+wkt1BLyznVUzhB9o8WdP9glo
8Ht8E+TRsAKxf8hYGlKm+wNTU9DJB0zGgtcwCgYIKoZIzj0EAwIDSAAwRQIhAIU+
XFvDuk8ueYSEnjzkNdWSpA/0z+uU8lSamcO0ttvZAiBeZTMDzuSeLtfqSnIJ7xk9
IN3FdKRijpNVOGInI2gsDg==
-----END CERTIFICATE-----`,
};
