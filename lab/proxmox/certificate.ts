import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';

/** A server's key and certificate with the CA that signed it, all PEM, as a fresh Proxmox VE cluster makes them. */
export interface ServerCertificate {
  readonly key: string;
  /** Leaf only: the CA is not sent, as on a real node. */
  readonly certificate: string;
  readonly ca: string;
  /** SHA-256 of the leaf, `AA:BB:…`, as Proxmox's own pages show it. */
  readonly fingerprint: string;
}

const day = 86_400_000;
const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/**
 * Makes a CA and a server certificate for `names` (host names and IP addresses). The library is loaded here and not at
 * the top because it costs some 300 ms, which a start with a kept certificate need not pay.
 */
export async function makeCertificate(
  node: string,
  names: readonly string[],
  /** Of the server's; negative: it has expired. */
  validDays = 730,
): Promise<ServerCertificate> {
  // tsyringe, below @peculiar/x509, refuses to load without it.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const keys = async () => crypto.subtle.generateKey(ecdsa, true, ['sign', 'verify']);
  const [caKeys, leafKeys] = await Promise.all([keys(), keys()]);
  const validity = { notBefore: new Date(Date.now() - 30 * day), notAfter: new Date(Date.now() + 730 * day) };

  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=Proxmox Virtual Environment, OU=simulated, O=PVE Cluster Manager CA',
    keys: caKeys,
    signingAlgorithm: ecdsa,
    ...validity,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `OU=PVE Cluster Node, O=Proxmox Virtual Environment, CN=${node}`,
    issuer: ca.subject,
    publicKey: leafKeys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: ecdsa,
    ...validity,
    notAfter: new Date(Date.now() + validDays * day),
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value }) as const),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(ca, false),
    ],
  });

  const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', leafKeys.privateKey)).toString('base64');
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${key.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`,
    certificate: leaf.toString('pem'),
    ca: ca.toString('pem'),
    fingerprint: fingerprintOf(new Uint8Array(leaf.rawData)),
  };
}

/** Reads the certificate kept in `folder`, or makes it there (key 0600), so that a pin survives a restart. */
export async function keptCertificate(
  folder: string,
  node: string,
  names: readonly string[],
): Promise<ServerCertificate> {
  const file = join(folder, 'certificate.json');
  try {
    const kept = JSON.parse(await readFile(file, 'utf8')) as ServerCertificate;
    if (Date.parse(new X509Certificate(kept.certificate).validTo) < Date.now() + day) throw new Error('it expires');
    return kept;
  } catch {
    // Absent, cut short by a crash or too old: in each case a new one is made.
    const made = await makeCertificate(node, names);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(file, JSON.stringify(made), { mode: 0o600 });
    await writeFile(join(folder, 'pve-root-ca.pem'), made.ca);
    return made;
  }
}

function fingerprintOf(der: Uint8Array): string {
  const hex = createHash('sha256').update(der).digest('hex').toUpperCase();
  return hex.replace(/..(?!$)/g, '$&:');
}

/** 16 random bytes with the top bit clear: DER integers are signed and serial numbers positive. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes.toString('hex');
}
