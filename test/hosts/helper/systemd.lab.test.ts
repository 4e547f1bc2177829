import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { installPrivileges } from '../../../lab/hosts/privileges.ts';
import { isServiceError, ServiceError } from '../../../src/errors.ts';
import type { Executor } from '../../../src/hosts/execution/executor.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import { generateSudoers } from '../../../src/hosts/helper/generate-sudoers.ts';
import type { Host } from '../../../src/hosts/host.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { sample } from '../../support/exhaustive.ts';
import { corpus, isRefusal, marksScript, trapFiles, trapScript, wordsOf } from './corpus.ts';
import { commands, sampleClient, sampleCommands } from './sample.ts';

describe.skipIf(whyNoLab()).each(sample(['bookworm', 'trixie'] as const, 1))(
  'Debian %s with systemd, over SSH and sudo',
  (debian) => {
    let lab: LabHost;
    let executor: Executor;
    let host: Host;

    beforeAll(async () => {
      lab = await startLabHost({ debian });
      const { layout } = lab.config;
      await installPrivileges(lab, generateHelper(layout, { commands: sampleCommands }), (facts) =>
        generateSudoers(layout, { ...facts, commands: sampleCommands }),
      );
      executor = createSshExecutor({ name: lab.name, ssh: lab.ssh, log: pino({ level: 'silent' }) });
      host = sampleClient(lab.config, executor);
    }, startTimeoutMs);
    afterAll(async () => {
      await executor?.close();
      await lab?.stop();
    });

    const unit = (id: string) => `proxmox-mcp-job-${id}.service`;
    const isActive = async (id: string) => (await lab.exec(['systemctl', 'is-active', unit(id)])).stdout.trim();
    const codeOf = (promise: Promise<unknown>) =>
      promise.then(
        () => 'no error',
        (error: unknown) => (error instanceof ServiceError ? error.code : String(error)),
      );

    it('runs entries as root, and as the user those that need no privilege', async () => {
      expect(await host.run(commands.hello, {})).toMatchObject({ exitCode: 0, stdout: 'hello\n' });
      expect((await host.run(commands.whoAmI, {})).stdout.trim()).not.toBe('0');
      expect(await codeOf(host.run(commands.nap, {}))).toBe('timeout');
    });

    // On the sudo of this machine's own release bypass.test.ts tries them, with their environment.
    it.runIf(debian === 'trixie')(
      'refuses attempts of the corpus that an SSH command can carry, and none leaves a mark',
      async () => {
        for (const [path, content] of trapFiles) await lab.writeFile(path, content, { mode: 0o755 });
        await lab.must(['sh', '-euc', trapScript(lab.ssh.user)]);
        const all = corpus
          .flatMap((file) => file.attempts)
          .filter(({ env }) => Object.keys(env).length === 0)
          .map((attempt) => wordsOf(attempt, lab.config.layout.helper).argv);
        expect(all.length).toBeGreaterThan(1_500);
        const attempts = sample(all, 500);
        const broken: string[] = [];
        let lost = 0;
        const attack = async (): Promise<void> => {
          for (let argv = attempts.pop(); argv; argv = attempts.pop()) {
            const [program = '', ...args] = argv;
            const ran = await executor.exec([program, ...args], { timeoutMs: 120_000 }).catch((error: unknown) => {
              // A loaded machine may lose a connection; what one attempt breaks again and again is a finding.
              const isLost = isServiceError(error, 'outcome-unknown') || isServiceError(error, 'connection-lost');
              if (!isLost || lost++ >= 5) throw error;
              attempts.push([program, ...args]);
            });
            if (!ran) continue;
            if (!isRefusal({ ...ran, code: ran.exitCode })) broken.push(JSON.stringify({ argv, ...ran }));
          }
        };
        await Promise.all(Array.from({ length: 8 }, attack));
        expect(broken).toEqual([]);
        expect(await lab.must(['sh', '-c', marksScript])).toBe('');
        expect(await host.run(commands.environment, {})).toMatchObject({ exitCode: 0 });
      },
      600_000,
    );

    it('says what to do when the policy or the helper is missing', async () => {
      const { helper, sudoersFile } = lab.config.layout;
      await lab.must(['mv', helper, '/root/helper']);
      const missing = await host.run(commands.hello, {}).catch((error: unknown) => error);
      await lab.must(['mv', '/root/helper', helper]);
      expect(missing).toMatchObject({ code: 'command-refused', remedy: expect.stringContaining('host install') });
      await lab.must(['mv', sudoersFile, '/root/policy']);
      const denied = await host.run(commands.hello, {}).catch((error: unknown) => error);
      await lab.must(['mv', '/root/policy', sudoersFile]);
      expect(denied).toMatchObject({ code: 'command-refused', remedy: expect.stringContaining('host check') });
      expect((await host.run(commands.hello, {})).exitCode).toBe(0);
    });

    it('executes a job in a unit of its own, and keeps nothing of the unit', async () => {
      const result = await host.job(commands.count, { word: 'unit' }, { id: 'first', fence: { host: 1 } });
      expect(result).toMatchObject({ exitCode: 7, found: false, stderr: 'complaint\n' });
      expect(result.stdout.split('\n')).toHaveLength(6);
      expect(await lab.must(['systemctl', 'list-units', '--all', '--no-legend', 'proxmox-mcp-job-*.service'])).toBe('');
    });

    it('is found again when the connection is cut and sshd restarted while it is watched', async () => {
      let cuts = 0;
      const job = () =>
        host.job(
          commands.count,
          { word: 'cut' },
          {
            id: 'cut',
            fence: { host: 2 },
            onProgress: () => {
              if (cuts++ === 0) void lab.restartSshd().then(() => lab.cutConnections());
            },
          },
        );
      let result = await job().catch((error: unknown) => error);
      for (let attempt = 0; attempt < 10 && result instanceof ServiceError; attempt++) {
        expect(result.retryable).toBe(true);
        await sleep(300);
        result = await job().catch((error: unknown) => error);
      }
      expect(result).toMatchObject({ exitCode: 7, stdout: expect.stringContaining('cut 5\n') });
      expect((await lab.readFile(`${lab.config.layout.state}/counted`)).trim().split('\n')).toHaveLength(2);
    });

    it('limits a job, and stops its whole control group when it is cancelled, and at its deadline', async () => {
      const stop = new AbortController();
      const properties = '--property=KillMode,RuntimeMaxUSec,UMask';
      let shown: Promise<string> | undefined;
      const onProgress = ({ lastLine }: { lastLine: string }) => {
        if (lastLine !== 'begun') return;
        shown ??= lab.must(['systemctl', 'show', properties, unit('lingers')]).finally(() => stop.abort());
      };
      expect(await codeOf(host.job(commands.linger, {}, { id: 'lingers', signal: stop.signal, onProgress }))).toBe(
        'cancelled',
      );
      expect((await shown)?.trim().split('\n').sort()).toEqual([
        'KillMode=control-group',
        'RuntimeMaxUSec=1min 1s',
        'UMask=0077',
      ]);
      expect(await isActive('lingers')).toBe('inactive');
      expect((await lab.exec(['pgrep', '-f', 'sleep 100'])).exitCode).toBe(1);
      expect(await codeOf(host.job(commands.overrun, {}, { id: 'overruns' }))).toBe('timeout');
    });

    it('lets two who share the host work on its guests side by side, and who holds it alone waits for both', async () => {
      const guest = (vmid: number, fence: number) =>
        host.job(commands.countGuest, { vmid }, { id: `guest-${vmid}`, fence: { host: fence, guest: 1 } });
      // The greater fence of the host's lock first: who shares it isn't compared with others who do.
      const first = guest(100, 40);
      while ((await isActive('guest-100')) !== 'active') await sleep(100);
      const second = guest(200, 30);
      while ((await isActive('guest-200')) !== 'active') await sleep(100);
      for (const [vmid, fence] of [
        [300, 35],
        [400, 45],
        [300, 35],
      ] as const) {
        const mark = host.run(commands.markGuest, { vmid, word: 'beside' }, { fence: { host: fence, guest: 1 } });
        expect(await mark).toMatchObject({ exitCode: 0 });
      }
      const alone = () => host.run(commands.mark, { word: 'alone' }, { fence: { host: 50 } });
      let waited = await alone().catch((error: unknown) => error);
      for (let attempt = 0; attempt < 10 && waited instanceof ServiceError; attempt++) {
        expect(waited).toMatchObject({ code: 'conflict', retryable: true });
        waited = await alone().catch((error: unknown) => error);
      }
      expect(await Promise.all([first, second])).toMatchObject([{ exitCode: 7 }, { exitCode: 7 }]);
      const ended = (await host.jobs()).jobs.filter(({ id }) => id.startsWith('guest-')).map(({ endedAt }) => endedAt);
      const marked = await lab.must(['stat', '-c', '%.3Y', `${lab.config.layout.state}/marks`]);
      for (const end of ended) expect(Date.parse(end ?? '')).toBeLessThanOrEqual(Number(marked) * 1000);
      // And after it no guest's run of before.
      expect(await codeOf(guest(500, 45))).toBe('fenced-out');
    });

    it('has an unknown outcome when the host loses its power under it', async () => {
      const outcome = codeOf(host.job(commands.linger, {}, { id: 'powerless' }));
      while ((await isActive('powerless')) !== 'active') await sleep(200);
      await lab.reboot('power-loss');
      expect(['connection-lost', 'host-unreachable', 'timeout', 'outcome-unknown']).toContain(await outcome);
      expect(await codeOf(host.job(commands.linger, {}, { id: 'powerless' }))).toBe('outcome-unknown');
      expect((await host.jobs()).jobs.find(({ id }) => id === 'powerless')).toMatchObject({ state: 'lost' });
    }, 180_000);
  },
);
