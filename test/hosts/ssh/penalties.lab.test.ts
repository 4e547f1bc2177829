import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { runChecks } from '../../../src/cli/doctor/check.ts';
import { hostChecks } from '../../../src/cli/doctor/hosts.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { scanHostKeys } from '../../../src/hosts/ssh/scan.ts';
import { loadedConfig } from '../../support/config.ts';
import { failure } from './helpers.ts';

const log = pino({ level: 'silent' });

// OpenSSH 10, which counts connections without a login and locks out who makes many.
describe.skipIf(whyNoLab())('a host with PerSourcePenalties', () => {
  let lab: LabHost;
  beforeAll(async () => {
    lab = await startLabHost({ debian: 'trixie' });
  }, startTimeoutMs);
  afterAll(() => lab?.stop());

  const { host, port } = { host: () => lab.address.host, port: 22 };
  const lockedOut = async () => (await lab.must(['journalctl', '-u', 'ssh', '--no-pager'])).includes('penalty');

  it('is asked by the doctor as often as one likes', async () => {
    for (let i = 0; i < 20; i++) {
      const findings = await runChecks(hostChecks(lab.config, { ...loadedConfig(), hosts: [lab.config] }, log), 20_000);
      const verdicts = Object.fromEntries(findings.map(({ check, verdict }) => [check.split(': ')[1], verdict]));
      expect(verdicts).toMatchObject({ 'SSH host key': 'ok', 'SSH login': 'warning' });
    }
    expect(await lockedOut()).toBe(false);
  }, 120_000);

  it('is named as one that locks out, by every way to it, and takes logins again when it has passed', async () => {
    let error: Error | undefined;
    for (let i = 0; i < 60 && error === undefined; i++) {
      error = await scanHostKeys(host(), port, { connectMs: 5_000 }).then(
        () => undefined,
        (reason: Error) => reason,
      );
    }
    expect(error).toMatchObject({ code: 'host-unreachable', message: expect.stringContaining('PerSourcePenalties') });
    const executor = createSshExecutor({ name: 'lab', ssh: lab.ssh, log });
    const refused = await failure(executor.exec(['/bin/true'], { timeoutMs: 20_000 }));
    expect(refused).toMatchObject({ code: 'host-unreachable', retryable: true });
    expect(refused.message).toContain('PerSourcePenalties');
    const logIn = () =>
      executor.exec(['/bin/true'], { timeoutMs: 20_000 }).then(
        ({ exitCode }) => exitCode,
        () => undefined,
      );
    await expect.poll(logIn, { timeout: 120_000, interval: 2_000 }).toBe(0);
    await executor.close();
  }, 240_000);
});
