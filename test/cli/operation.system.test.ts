import { spawn } from 'node:child_process';
import { Client } from '@temporalio/client';
import { expect, it, onTestFinished } from 'vitest';
import { createLedgerClient } from '../../src/runs/ledger.ts';
import { openConnection } from '../../src/runs/temporal-client.ts';
import { configurationFolder } from '../config/folder.ts';
import { bareEnvironment, runNode, useDist } from '../support/built.ts';
import { freePorts } from '../support/free-ports.ts';
import { quietTimeZone } from '../support/quiet-time-zone.ts';

const dist = useDist();

it('runs the whole service and, from another terminal, operations, runs and schedules', {
  timeout: 600_000,
}, async () => {
  const [mcp, temporal, ui, metrics] = await freePorts(4);
  const { TEMPORAL_BINARY } = process.env;
  const env = {
    ...(TEMPORAL_BINARY !== undefined && { TEMPORAL_BINARY }),
    PROXMOX_MCP_CONFIG_DIR: configurationFolder(),
    MCP_PORT: String(mcp),
    TEMPORAL_PORT: String(temporal),
    TEMPORAL_UI_PORT: String(ui),
    WORKER_METRICS_PORT: String(metrics),
    TIME_ZONE: quietTimeZone(),
  };
  const file = dist.path('src/cli.js');
  const cli = (...args: string[]) => runNode(file, args, { env });
  const service = spawn(process.execPath, [file, 'start'], {
    env: { ...bareEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const gone = new Promise((resolve) => service.once('exit', (code, signal) => resolve(code ?? signal)));
  onTestFinished(async () => {
    service.kill('SIGTERM');
    await gone;
  });
  let said = '';
  for (const stream of [service.stdout, service.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  await expect.poll(() => said, { timeout: 150_000, interval: 500 }).toContain('claude mcp add');

  const planned = await cli('back-up', '--dry-run', '--json');
  expect(JSON.parse(planned.stdout)).toMatchObject({ state: 'planned', dryRun: true, result: { outcome: 'planned' } });
  expect(planned.stderr).toContain('Started run back-up/demo/');

  const followed = await cli('check-health', '--host', 'demo');
  expect(followed.stderr).toMatch(/· Service: done/);
  expect(followed.stdout).toMatch(/^Check health demo: [\s\S]*\nRun check-health\/demo\/\w+\nhttp/);

  const keyed = ['check-health', '--no-wait', '--idempotency-key', 'k1'];
  const [first, again] = [await cli(...keyed), await cli(...keyed)];
  expect(first).toMatchObject({ code: 0, stdout: expect.stringMatching(/^check-health\/demo\/\w+\n$/) });
  expect(again.stdout).toBe(first.stdout);
  expect(again.stderr).toContain('Found run');
  const id = first.stdout.trim();
  expect(JSON.parse((await cli('runs', 'wait', id, '--json')).stdout)).toMatchObject({ id, state: 'done' });
  expect((await cli('runs', 'list', '--operation', 'check-health')).stdout).toContain(id);
  expect((await cli('runs', 'log', id)).stdout).toContain('Started, asked for by');
  expect(await cli('runs', 'get', 'check-health/demo/none')).toMatchObject({ code: 1, stdout: '' });
  expect((await cli('host', 'jobs', 'demo')).stdout).toMatch(
    /daily-backup-\d{8}-\d{6}-publish-\S+ +publish-backup +ended \(0\)/,
  );
  expect(await cli('host', 'jobs', 'demo', '--cancel', 'mistyped')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('There is no job "mistyped" on demo, so nothing was stopped'),
  });
  expect((await cli('host', 'jobs', 'demo', '--clean', '0')).stderr).toContain('There is no job on demo.');
  expect(await cli('back-up', '--host', 'nowhere')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('there is no host "nowhere", only demo'),
  });

  const interrupted = spawn(process.execPath, [file, 'back-up'], {
    env: { ...bareEnvironment(), ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let seen = '';
  interrupted.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (!seen.includes('Started run') && (seen + text).includes('Started run'))
      setTimeout(() => interrupted.kill('SIGINT'), 300);
    seen += text;
  });
  expect(await new Promise((resolve) => interrupted.once('exit', resolve))).toBe(130);
  expect(seen).toContain('The run goes on.');
  const goesOn = /runs wait (\S+)/.exec(seen)?.[1] ?? '';
  expect(JSON.parse((await cli('runs', 'wait', goesOn, '--json')).stdout)).toMatchObject({ state: 'done' });

  const schedule = 'back-up/daily/demo';
  expect((await cli('schedules', 'pause', schedule, '--reason', 'moving')).stdout).toContain('paused. Note: moving');
  expect((await cli('schedules', 'change', schedule, '--cron', '5 4 * * *')).stdout).toContain('5 4 * * *');
  expect((await cli('schedules', 'change', schedule, '--cron', 'x')).code).toBe(2);
  expect((await cli('schedules', 'change', schedule)).code).toBe(2);
  expect((await cli('schedules', 'change', schedule, '--reset')).stdout).toContain('0 2 * * *');
  const never = await cli('schedules', 'change', schedule, '--cron', '5 4 31 2 *');
  expect(never.stdout).toContain('paused');
  expect((await cli('schedules', 'resume', schedule)).stdout).toContain('never runs');
  expect((await cli('schedules', 'change', schedule, '--reset')).stdout).toContain('Runs next');
  const triggered = await cli('schedules', 'trigger', schedule);
  const firedRun = /^Follow it with: npx proxmox-mcp runs wait (back-up\/demo\/daily-\S+)$/m.exec(
    triggered.stderr,
  )?.[1];
  expect((await cli('runs', 'wait', firedRun ?? '')).code, triggered.stderr).toBe(0);

  const added = await cli('schedules', 'add', 'back-up', 'host=demo', '--every', 'sun 23:00', '--if', 'healthy');
  const own = 'back-up/own-sun-2300/demo';
  expect(added.stdout, added.stderr).toMatch(/^Scheduled\. back-up\/own-sun-2300\/demo: 0 23 \* \* 0 .* Runs next 20/);
  expect(added.stdout).toContain('the health of demo is checked');
  expect((await cli('schedules')).stdout).toMatch(/^back-up\/own-sun-2300\/demo +0 23 \* \* 0 /m);
  for (const [wrong, why] of [
    [['back-up', 'host=demo', '--at', '2020-01-01 10:00'], 'is over'],
    [['back-up', 'host=demo', '--at', 'in 2h', '--name', 'A'], "can't be the name"],
    [['back-up', 'demo', '--at', 'in 2h'], 'field=value'],
    [['back-upp', '--at', 'in 2h'], 'no operation'],
  ] as const) {
    const refused = await cli('schedules', 'add', ...wrong);
    expect(refused.stderr).toContain(why);
    expect(refused.code).not.toBe(0);
  }
  expect((await cli('schedules', 'remove', 'back-up/daily/demo')).stderr).toContain("catalogue's");
  expect((await cli('schedules', 'remove', own)).stdout).toContain(`Removed ${own}.`);
  expect((await cli('schedules')).stdout).not.toContain(own);

  expect((await cli('token', 'create', 'written-down')).stderr).not.toContain('ledger does not have');
  expect((await cli('token', 'revoke', 'written-down')).code).toBe(0);
  const client = await openConnection(
    { address: `127.0.0.1:${temporal}`, namespace: 'default', isOthers: false, isCloud: false },
    10_000,
  ).then((connection) => new Client({ connection }));
  const { records } = await createLedgerClient(client).search({ kind: 'token', limit: 10 }, 'UTC');
  await client.connection.close();
  expect(records.map(({ text }) => text)).toEqual([
    'Token written-down is revoked',
    'Token written-down (read) is made',
  ]);

  const doctor = await cli('doctor');
  expect(doctor).toMatchObject({ code: 0, stdout: expect.stringContaining(' 0 failed') });

  service.kill('SIGINT');
  expect(await gone).toBe(0);
  expect(said).toContain('Stopped.');
});
