import { afterAll, beforeAll, expect, it } from 'vitest';
import { table } from '../../../src/hosts/commands/table.generated.ts';
import { sampleCommands } from './sample.ts';
import { type PolicyHost, startPolicyHost } from './sandbox/policy-host.ts';
import { whyNoSandbox } from './sandbox/sandbox.ts';
import { legitimateVectors, withFence } from './vectors.ts';

const commands = [...sampleCommands, ...table];

const its = it.skipIf(whyNoSandbox());

let host: PolicyHost;
beforeAll(async () => {
  if (whyNoSandbox()) return;
  host = await startPolicyHost(commands);
});
afterAll(() => host?.sandbox.close());

its('lets the service user run a command as root, and shows that it was root', async () => {
  expect(await host.sudo('hello')).toMatchObject({ code: 0, stdout: 'hello\n', stderr: '' });
  expect(await host.sudo('mark', '1', 'word')).toMatchObject({ code: 0 });
  expect((await host.sandbox.root(`stat -c '%U %a' ${host.layout.state}/marks`)).trim()).toBe('root 600');
});

its(
  'allows every example of every command',
  async () => {
    const vectors = legitimateVectors(host.layout, commands);
    // Greater fences after smaller ones, one at a time.
    for (const [index, vector] of vectors.entries()) {
      const raised = withFence(vector, 100 + index, commands);
      const ran = await host.sudo(...raised);
      // What the command itself says on a machine without Docker or backups doesn't matter here, nor that nobody signed it.
      expect({ raised, ran }).toMatchObject({
        ran: { stderr: expect.not.stringMatching(/proxmox-mcp-helper: (?!unsigned: )|sudo: /) },
      });
      if (raised[0] === 'stop-changes') await host.sandbox.root(`rm ${host.layout.state}/changes-stopped`);
      expect([64, 70, 75, 76, 77]).not.toContain(ran.code);
      if (raised[0] === 'job-start') await host.sudo('job-cancel', raised[1] ?? '');
    }
  },
  180_000,
);

its('logs what was executed and what was refused, and of changes the output', async () => {
  await host.sudo('hello');
  await host.sudo('goodbye');
  await host.sudo('mark', '900', 'newer');
  await host.sudo('mark', '1', 'older');
  const log = await host.sandbox.read(host.layout.sudoLog);
  expect(log).toMatch(/claude-user : PWD=\/ ; USER=root ; TSID=\w+ ; COMMAND=\S+helper hello\n/);
  expect(log).toMatch(/claude-user : a password is required ; .* ; COMMAND=\S+helper goodbye\n/);
  expect(log).toMatch(/COMMAND=\S+helper hello ; EXIT=0\n/);
  const recorded = await host.sandbox.root('find /var/log/sudo-io/claude-user -name "std*" -exec zcat -f {} +');
  expect(recorded).toContain('fenced-out: ');
  expect(recorded).not.toContain('hello');
});

its('executes nothing that it cannot log', async () => {
  await host.sandbox.root('mv /var/log/sudo-io /var/log/kept; : >/var/log/sudo-io');
  const unlogged = await host.sudo('mark', '900', 'noiolog');
  await host.sandbox.root('rm /var/log/sudo-io; mv /var/log/kept /var/log/sudo-io');
  expect(unlogged.code).not.toBe(0);

  await host.sandbox.root(`mv ${host.layout.sudoLog} /var/log/kept; mkdir ${host.layout.sudoLog}`);
  const unwritten = await host.sudo('mark', '900', 'nolog');
  await host.sandbox.root(`rmdir ${host.layout.sudoLog}; mv /var/log/kept ${host.layout.sudoLog}`);
  expect(unwritten.code).not.toBe(0);

  expect(await host.sudo('mark', '900', 'logged')).toMatchObject({ code: 0 });
  const marks = await host.sandbox.read(`${host.layout.state}/marks`);
  expect(marks.split('\n')).toContain('logged');
  expect(marks).not.toMatch(/noiolog|nolog/);
});

its('executes no other helper than the one it was made for', async () => {
  await host.sandbox.root(`cp -p ${host.layout.helper} /tmp/kept; echo '# one line more' >>${host.layout.helper}`);
  const changed = await host.sudo('hello');
  await host.sandbox.root(`cp -p /tmp/kept ${host.layout.helper}`);
  expect(changed).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('sudo: ') });
  expect(await host.sudo('hello')).toMatchObject({ code: 0 });
});
