import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type BackupServerSimulator, createBackupServerSimulator } from '../../lab/backup-server/simulator.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { createProxmoxApis, type ProxmoxApis } from '../../src/proxmox/connect.ts';
import { readServerBackups } from '../../src/proxmox/server-backups.ts';
import { Secret } from '../../src/secret.ts';

// Its simulation is not recorded: see lab/backup-server.
let server: BackupServerSimulator;
let apis: ProxmoxApis;
beforeEach(async () => {
  server = await createBackupServerSimulator();
  const { host, port, token, fingerprint } = server;
  const trust = { kind: 'fingerprint', sha256: fingerprint } as const;
  const api = { user: token.user, tokenName: token.name, tokenValue: new Secret(token.secret), trust };
  apis = createProxmoxApis(
    {
      hosts: [
        {
          name: 'pbs1',
          layout: defaultLayout,
          timeZone: 'UTC',
          backupServer: { product: 'backup-server', host, port, ...api },
        },
      ],
    },
    pino({ level: 'silent' }),
  );
});
afterEach(async () => {
  await apis.close();
  await server.close();
});

it('says what a backup server holds, newest first, and what of it is no backup', async () => {
  const time = Math.floor(Date.UTC(2026, 10, 22, 2) / 1000);
  server.state.snapshots.set('main', [
    { type: 'vm', id: '100', time: time - 86_400, verification: 'ok' },
    { type: 'vm', id: '100', time, verification: 'failed' },
    { type: 'host', id: 'nas', time: time - 60 },
  ]);
  const { backups, unseen } = await readServerBackups(apis.backupServer('pbs1'), {});
  expect(unseen).toEqual([]);
  expect(backups.map(({ name, vmid, verified }) => [name, vmid, verified])).toEqual([
    ['vm/100/2026-11-22T02:00:00Z', 100, 'failed'],
    ['host/nas/2026-11-22T01:59:00Z', undefined, 'none'],
    ['vm/100/2026-11-21T02:00:00Z', 100, 'ok'],
  ]);
  expect(backups.every(({ where }) => where === 'main')).toBe(true);
});
