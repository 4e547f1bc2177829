import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createContactActivities, type Told } from '../../../src/activities/contacts/contacts.ts';
import type { MailConfig } from '../../../src/config.ts';
import { type Ledger, openLedger } from '../../../src/ledger/ledger.ts';
import { ledgerPaths } from '../../../src/ledger/paths.ts';
import type { PolicyDocument } from '../../../src/policy/schema.ts';
import { acquireKernelLock } from '../../../src/service/kernel-lock.ts';

const hourMs = 3_600_000;
let folder: string;
let ledger: Ledger;
let mail: MailConfig | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'proxmox-mcp-contacts-'));
  const ledgerFolder = join(folder, 'ledger');
  const claim = () => acquireKernelLock(ledgerPaths(ledgerFolder).claim);
  ledger = openLedger({ folder: ledgerFolder, claim, redact: (text) => text });
  mail = { host: 'localhost', port: 25, security: 'none', from: 'service@example.org', to: ['root@example.org'] };
});
afterEach(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

function heard(sinceMs = 0, subjects: Parameters<typeof ask>[0]['subjects'] = ['operations']): Promise<Told> {
  return ask({ subjects, target: 'pve1', sinceMs });
}

function ask(asked: Parameters<ReturnType<typeof createContactActivities>['whoHears']>[0]): Promise<Told> {
  const hosts = [{ name: 'pve1', timeZone: 'Europe/Berlin' }] as never;
  const config = { hosts, dangerousCommands: false, ...(mail && { mail }) };
  return createContactActivities({ config, configFolder: folder, ledger }).whoHears(asked);
}

function write(text: string): void {
  writeFileSync(join(folder, 'policy.yaml'), text, { mode: 0o600 });
}

async function approve(document: PolicyDocument): Promise<void> {
  await ledger.append([{ key: `policy/${Math.random()}`, kind: 'policy', text: 'approved', data: { document } }]);
}

const written = 'contacts:\n  - { name: Eve, mail: eve@example.org, level: 1 }\n';

it('without a policy it is MAIL_TO, and nothing climbs', async () => {
  expect(await heard(9 * hourMs)).toEqual({
    addresses: ['root@example.org'],
    webhooks: [],
    level: 'all',
    times: 1,
    timeZone: 'Europe/Berlin',
  });
  mail = undefined;
  expect((await heard()).addresses).toEqual([]);
});

it('contacts that nobody has approved are added to MAIL_TO, and take nobody away', async () => {
  write(written);
  expect(await heard()).toMatchObject({
    addresses: ['root@example.org', 'eve@example.org'],
    level: 1,
    nextInMs: hourMs,
  });
});

it('a contact that was written into the file redirects nothing', async () => {
  await approve({ contacts: [{ name: 'Anna', mail: ['anna@example.org'], level: 1 }] });
  write(written);
  expect((await heard(9 * hourMs)).addresses).toEqual(['anna@example.org']);
  await approve({});
  expect((await heard()).addresses).toEqual(['root@example.org']);
});

it('a file with a problem silences nobody', async () => {
  write('contacts:\n  - { name: Eve, mail: nonsense, level: 1 }\n');
  expect((await heard()).addresses).toEqual(['root@example.org']);
});

it('climbs, and of several subjects all are told', async () => {
  await approve({
    contacts: [
      { name: 'Anna', mail: ['anna@example.org'], level: 1, subjects: ['operations'] },
      { name: 'Sec', mail: ['sec@example.org'], level: 2, subjects: ['security'] },
      { name: 'On call', webhook: 'ONCALL_WEBHOOK_URL', level: 4 },
    ],
  });
  const addresses = async (...given: Parameters<typeof heard>) => (await heard(...given)).addresses;
  expect(await addresses(0)).toEqual(['anna@example.org']);
  expect(await addresses(0, ['security'])).toEqual(['sec@example.org']);
  expect(await heard(0, ['operations', 'security'])).toMatchObject({
    addresses: ['anna@example.org', 'sec@example.org'],
    webhooks: [],
    level: 2,
  });
  expect(await heard(2.5 * hourMs)).toMatchObject({ webhooks: ['ONCALL_WEBHOOK_URL'], level: 4, nextInMs: hourMs / 2 });
  expect((await heard(99 * hourMs)).level).toBe('all');
});

it('a policy that this version cannot read is said, so that MAIL_TO is told', async () => {
  await ledger.append([{ key: 'policy/new', kind: 'policy', text: 'x', data: { document: { levels: 9 } } }]);
  await expect(heard()).rejects.toMatchObject({ code: 'unreadable' });
});
