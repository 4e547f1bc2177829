import { createHash } from 'node:crypto';

// How SSH writes keys and signatures, for who reads them without ssh-keygen.

/** The strings of a blob (RFC 4253 §6.6), each after its length; undefined when they don't fill it exactly. */
export function fieldsOf(blob: Buffer): readonly Buffer[] | undefined {
  const fields: Buffer[] = [];
  let at = 0;
  while (at < blob.length) {
    if (at + 4 > blob.length) return undefined;
    const end = at + 4 + blob.readUInt32BE(at);
    if (end > blob.length) return undefined;
    fields.push(blob.subarray(at + 4, end));
    at = end;
  }
  return fields;
}

/** The fingerprint of a public key as one line, `TYPE BASE64 [COMMENT]`, as `ssh-keygen -l` shows it: `SHA256:…`. */
export function fingerprintOf(line: string): string {
  return fingerprintOfBlob(Buffer.from(line.split(' ')[1] ?? '', 'base64'));
}

/** The same of a key as it goes over the wire. */
export function fingerprintOfBlob(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
