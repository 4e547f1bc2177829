import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll, expect, it } from 'vitest';
import { readIdentity } from '../../../src/backups/copies/identity.ts';
import { readRecipients } from '../../../src/backups/copies/recipients.ts';
import { recipients } from '../../../src/config/value-types.ts';

const folder = mkdtempSync(join(tmpdir(), 'pmx-recipients-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const identity = await generateX25519Identity();
const [one, hybrid] = [await identityToRecipient(identity), await identityToRecipient(await generateHybridIdentity())];
const ssh = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUFSD7U5UzHnl+3gyVFqgC2fmnk8kpFoEnv8aqq3 anna@pc';
const file = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};

it('takes recipients and files of them, each once', () => {
  const path = file('recipients.txt', `# ours\n\n${one}\n  ${hybrid}\n${ssh}\n`);
  expect(readRecipients([one, path])).toEqual([one, hybrid, ssh]);
});

it.each([
  ['a private key', () => [file('identity', `${identity}\n`)]],
  ['a recipient with a wrong letter', () => [`${one.slice(0, -1)}${one.endsWith('q') ? 'p' : 'q'}`]],
  ['a file that is not there', () => [join(folder, 'none')]],
  ['a file that names nobody', () => [file('empty', '# nobody\n')]],
  ['an option', () => [file('option', '--output=/etc/shadow\n')]],
])('refuses %s, and shows no private key', (_, named) => {
  let thrown: unknown;
  try {
    readRecipients(named());
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: 'configuration' });
  expect(String((thrown as Error).message)).not.toContain(identity.slice(20));
});

it('is written with commas between, because SSH keys have blanks', () => {
  expect(recipients.schema.parse(`${one}, ${ssh},./more.txt`)).toEqual([one, ssh, './more.txt']);
  for (const wrong of ['age1', identity, 'ssh-dss AAAA', 'more.txt', '-r age1', ''])
    expect(recipients.schema.safeParse(wrong).success, wrong).toBe(false);
});

it('an identity is a file of age, and nothing else passes for one', async () => {
  const never = () => Promise.reject(new Error('asked'));
  expect(await readIdentity(file('own', `# made\n${identity}\n`), never)).toMatchObject({ kind: 'keys' });
  expect(JSON.stringify(await readIdentity(file('own', `${identity}\n`), never))).not.toContain(identity);
  const pem = '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n';
  expect(await readIdentity(file('ssh', pem), never)).toMatchObject({ kind: 'program' });
  for (const wrong of ['', one, 'nonsense', `${identity}x`])
    await expect(readIdentity(file('wrong', wrong), never)).rejects.toMatchObject({ code: 'invalid-input' });
});
