import { createHash } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stillHad, whyNoLab } from '../../../lab/hosts/available.ts';
import { type LabHost, startLabHost, startTimeoutMs } from '../../../lab/hosts/lab-host.ts';
import { installPrivileges } from '../../../lab/hosts/privileges.ts';
import { table } from '../../../src/hosts/commands/table.generated.ts';
import type { CommandResult, Executor } from '../../../src/hosts/execution/executor.ts';
import { generateHelper } from '../../../src/hosts/helper/generate-helper.ts';
import { generateSudoers } from '../../../src/hosts/helper/generate-sudoers.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { corpus, isRefusal, marksScript, trapFiles, trapScript, wordsOf } from './corpus.ts';
import { sampleCommands } from './sample.ts';
import { legitimateVectors, withFence } from './vectors.ts';

const commands = [...sampleCommands, ...table];

// There the policy admits the helper with any arguments, and the helper alone refuses.
const kinds = [
  { name: 'sudo 1.9.5', debian: 'bullseye' },
  { name: 'sudo-rs', debian: 'trixie', sudo: 'rs' },
] as const;

describe.skipIf(whyNoLab()).each(await stillHad(kinds))(
  '$name, which knows no regular expressions',
  ({ name, ...kind }) => {
    let lab: LabHost;
    let executor: Executor;
    let helper: string;

    beforeAll(async () => {
      lab = await startLabHost(kind);
      const { layout } = lab.config;
      helper = generateHelper(layout, { commands });
      await installPrivileges(lab, helper, (facts) => generateSudoers(layout, { ...facts, commands }));
      executor = createSshExecutor({ name: lab.name, ssh: lab.ssh, log: pino({ level: 'silent' }) });
    }, startTimeoutMs);
    afterAll(async () => {
      await executor?.close();
      await lab?.stop();
    });

    const sudo = (...args: string[]): Promise<CommandResult> =>
      executor.exec(['/usr/bin/sudo', '-n', '--', lab.config.layout.helper, ...args], { timeoutMs: 60_000 });

    it('gets the form of the policy that it understands', async () => {
      const policy = await lab.readFile(lab.config.layout.sudoersFile);
      const digest = createHash('sha256').update(helper).digest('hex');
      const pinned = name === 'sudo-rs' ? '' : `sha256:${digest} `;
      expect(policy).toContain(`Cmnd_Alias PMX_HELPER = ${pinned}${lab.config.layout.helper}\n`);
      expect(policy).toMatch(/^claude-user ALL = \(root\) NOPASSWD: NOSETENV: PMX_HELPER$/m);
      expect(policy).not.toContain('^');
      expect(await sudo('hello')).toMatchObject({ exitCode: 0, stdout: 'hello\n', stderr: '' });
    });

    it('allows every example of every command', { timeout: 300_000 }, async () => {
      const { helper: path } = lab.config.layout;
      for (const [index, vector] of legitimateVectors(lab.config.layout, commands).entries()) {
        const raised = withFence(vector, 100 + index, commands);
        // A job takes seconds; that sudo allows them is seen without, and one is executed below.
        const isJob = raised[0] === 'job-start';
        const ran = isJob
          ? await executor.exec(['/usr/bin/sudo', '-n', '-l', '--', path, ...raised], { timeoutMs: 60_000 })
          : await sudo(...raised);
        // What the command itself says on a host without Docker or backups doesn't matter here, nor that nobody signed it.
        expect({ raised, ran }).not.toMatchObject({
          ran: { stderr: expect.stringMatching(/-helper: (?!unsigned: )|sudo(-rs)?: /) },
        });
        if (raised[0] === 'stop-changes') await lab.must(['rm', `${lab.config.layout.state}/changes-stopped`]);
        expect([64, 70, 75, 76, ...(isJob ? [1] : [])], JSON.stringify(raised)).not.toContain(ran.exitCode);
      }
      expect(await sudo('job-start', 'counts', '-', 'count', '9000', 'a')).toMatchObject({ stdout: 'started\n' });
      await expect.poll(async () => (await sudo('job-list')).stdout, { timeout: 60_000 }).toMatch(/^counts ended 7 /m);
    });

    it('refuses a sample of the corpus, and nothing leaves a mark', { timeout: 300_000 }, async () => {
      for (const [path, content] of trapFiles) await lab.writeFile(path, content, { mode: 0o755 });
      await lab.must(['sh', '-euc', trapScript(lab.ssh.user)]);
      const clean = await sudo('environment');
      expect(clean.exitCode).toBe(0);
      // Every one that bends sudo's own options or wants what only an administrator may; of those that the helper or the
      // policy refuses as anywhere, a few.
      const attempts = corpus
        .flatMap(({ name, attempts }) =>
          attempts.map((attempt) => ({ ...attempt, isOfAdministrators: name === 'administrators.json' })),
        )
        .filter(({ env, by }) => Object.keys(env).length === 0 && by !== 'sudo')
        .filter(
          ({ sudo, command, isOfAdministrators }, index) =>
            sudo.length > 0 || isOfAdministrators || index % (command[0] === '{helper}' ? 4 : 10) === 0,
        )
        .map((attempt) => wordsOf(attempt, lab.config.layout.helper).argv);
      const tried = attempts.length;
      const broken: string[] = [];
      const attack = async (): Promise<void> => {
        for (let argv = attempts.pop(); argv; argv = attempts.pop()) {
          const [program = '', ...args] = argv;
          const ran = await executor.exec([program, ...args], { timeoutMs: 60_000 });
          // sudo-rs ignores some options and says so: the legitimate command then does what it always does.
          const isIgnored = /^warning: .* will be ignored$/m.test(ran.stderr) && ran.stdout === clean.stdout;
          if (argv[3] === `${lab.config.layout.helper}/` && name === 'sudo-rs') continue; // The same program to it.
          if (!isIgnored && !isRefusal({ ...ran, code: ran.exitCode })) broken.push(JSON.stringify({ argv, ...ran }));
        }
      };
      await Promise.all(Array.from({ length: 8 }, attack));
      expect(broken).toEqual([]);
      expect(tried).toBeGreaterThan(300);
      expect(await lab.must(['sh', '-c', marksScript])).toBe('');
    });

    it('stops also a job that its user began in place of systemd', { timeout: 120_000 }, async () => {
      await lab.must(['mkdir', '-pm', '700', `${lab.config.layout.state}/jobs/direct`]);
      const began = sudo('job-run', 'direct', '-', 'linger');
      await expect.poll(async () => (await sudo('job-list')).stdout, { timeout: 60_000 }).toMatch(/^direct running /m);
      expect((await sudo('job-cancel', 'direct')).stdout).toMatch(/^state cancelled .*\nleft \n$/);
      await began;
      expect((await lab.exec(['pgrep', '-fx', '/bin/sleep 100|sleep 100'])).stdout).toBe('');
    });

    it.runIf(name === 'sudo 1.9.5')('executes no other helper than the one it was made for', async () => {
      const path = lab.config.layout.helper;
      await lab.must(['sh', '-c', `cp -p ${path} /root/kept; echo '# one line more' >>${path}`]);
      const changed = await sudo('hello');
      await lab.must(['cp', '-p', '/root/kept', path]);
      expect(changed).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('sudo: ') });
      expect(await sudo('hello')).toMatchObject({ exitCode: 0 });
    });
  },
);
