import { describe, expect, it } from 'vitest';
import { parsePublicKey } from '../../src/people/ssh-key.ts';
import { fingerprintOf } from '../../src/ssh-wire.ts';

const ed25519 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMAsRuQSWYrR5Bu1TV4SQ3c5yZBLptBHOwGHEwrAtC3I a b';
const ecdsa =
  'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGFaDSEYJLnwg9eR7S5KIp9lEdE2l25sLidXfVNi7OLu6Uj31g2HVvl3BkDrTXoygP7YeLrF6s/jLJdlMHVIn5I= a b';
const rsa =
  'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC/KgLAYzYBoXnx9kVeSQ/QIGdsxIjxLQsKvTSD/ff1h6xE6rDjhT/wTt9JUBEAnrhNdRyWdSe8D0hj21sUKIwGFxh7BrfT4tXbOR5uTndxtA8ywZXz5lKjaM4+CuuCM1I/SGwubRy6U2mGRmw6ATMzf1jTynlo/Q5MQHxTGpY7jmZ0FzkCPk2ooLz3z9h6lWrCOnRZfSHzIOpzfcdqYDf4nyTfLiE4CaJ8okZM73kIH3ddtwxjDDeFjWUmH1hiJELdQlqHyr67y79KlANTOBrJJOgBVGSa5oQK5aCAs4Nb95NfLJE3aBAlK9fVJDmPgE0mb24hY+No35lKEuT9FZOD2Ql/AYPuNzEV6pu1VEh30alkVixYCY05NZ/AoJkYToBzLYicG6eHK0jL8bJ/5mcwS85AaflJYLOe/t7dRPY9aHJBD36fVZRX1KvObxMYKvqWoUUkHy4Aoax3Heq98S1GvhzwNox5p7TLd+kh56B1hct3jFZZDBCW7apcIXNjALk= a b';
const rsa1024 =
  'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC9w4tZPTv+JJjCLCI4D4N0RPx7CmVxtSiHTM4RAR9IT2m9Mq/A1IbZEH2NFJEt7XwMcMToCHYkXHhYUrkJsjZ4G+tMVfNINM4BW2o/MX7rUAOdfPfhRteFnZLOB+PyAUvNqJEcaKSFSQ+jtKPkixsj0AGzF2+gq4uLLI4enU8vgQ== old';

/** A blob as RFC 4253 writes it. */
function blob(...fields: readonly (string | Buffer)[]): string {
  const parts = fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.from(field).length);
    return [length, Buffer.from(field)];
  });
  return Buffer.concat(parts).toString('base64');
}
const skType = 'sk-ssh-ed25519@openssh.com';
const touched = `${skType} ${blob(skType, Buffer.alloc(32, 7), 'ssh:')}`;

describe('a public key', () => {
  it('is one line, with single spaces and its comment', () => {
    expect(parsePublicKey(`  ${ed25519.replace(' ', '\t ')}\n`)).toBe(ed25519);
    for (const line of [ecdsa, rsa, touched]) expect(parsePublicKey(line)).toBe(line);
    expect(parsePublicKey(ed25519.replace(/ a b$/, ''))).toBe(ed25519.replace(/ a b$/, ''));
  });

  it('has the fingerprint that ssh-keygen shows', () => {
    expect(fingerprintOf(ed25519)).toBe('SHA256:K304GS3tjuI6ZOFBc0URWl+lsHdxAmvpwXVQxv+a2U4');
  });

  it.each([
    ['', /begins with none/],
    ['-----BEGIN OPENSSH PRIVATE KEY-----', /begins with none/],
    [`command="sh" ${ed25519}`, /begins with none/],
    [`cert-authority ${ed25519}`, /begins with none/],
    [`* ${ed25519}`, /begins with none/],
    [`${ed25519}\n${ecdsa}`, /several lines/],
    [`ssh-dss ${blob('ssh-dss', 'x')}`, /begins with none/],
    [ed25519.replace('ssh-ed25519 ', 'ssh-rsa '), /isn't of type ssh-rsa/],
    [ed25519.replace('AAAAC3', 'AAAAC*'), /damaged/],
    [ed25519.slice(0, 40), /damaged/],
    [`ssh-ed25519 ${blob('ssh-ed25519')}`, /damaged/],
    [rsa1024, /2048 bits/],
    [ed25519.replace('a b', 'x'.repeat(101)), /comment/],
    [ed25519.replace('a b', 'a\u001b[2Jb'), /comment/],
  ])('is not %j', (line, why) => {
    expect(() => parsePublicKey(line)).toThrow(why);
  });
});
