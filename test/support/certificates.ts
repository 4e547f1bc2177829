import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';

/** PEM. */
export interface IssuedCertificate {
  readonly key: string;
  readonly certificate: string;
}

export interface Authority {
  readonly ca: string;
  /** For a server or a client. @param days - how long it counts; negative: it has expired */
  issue(name: string, days?: number): Promise<IssuedCertificate>;
}

const day = 86_400_000;
const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A CA of a test's own. */
export async function makeAuthority(name: string): Promise<Authority> {
  // tsyringe, below @peculiar/x509, refuses to load without it.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const newKeys = () => crypto.subtle.generateKey(ecdsa, true, ['sign', 'verify']);
  const serialNumber = () => `01${randomBytes(8).toString('hex')}`;
  const validity = (days: number) => ({
    notBefore: new Date(Date.now() - 30 * day),
    notAfter: new Date(Date.now() + days * day),
  });
  const caKeys = await newKeys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${name}`,
    keys: caKeys,
    signingAlgorithm: ecdsa,
    ...validity(365),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  return {
    ca: ca.toString('pem'),
    async issue(subject, days = 30) {
      const keys = await newKeys();
      const leaf = await x509.X509CertificateGenerator.create({
        serialNumber: serialNumber(),
        subject: `CN=${subject}`,
        issuer: ca.subject,
        publicKey: keys.publicKey,
        signingKey: caKeys.privateKey,
        signingAlgorithm: ecdsa,
        ...validity(days),
        extensions: [
          new x509.BasicConstraintsExtension(false),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
          new x509.SubjectAlternativeNameExtension([{ type: isIP(subject) ? 'ip' : 'dns', value: subject }]),
        ],
      });
      const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
      return {
        key: `-----BEGIN PRIVATE KEY-----\n${key.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`,
        certificate: `${leaf.toString('pem')}\n`,
      };
    },
  };
}
