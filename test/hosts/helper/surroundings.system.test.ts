import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sampleCommands } from './sample.ts';
import { type PolicyHost, startPolicyHost } from './sandbox/policy-host.ts';
import { whyNoSandbox } from './sandbox/sandbox.ts';

/** What a user gives to sudo without a word: limits, descriptors, umask. Each as a line of a shell before the call. */
const surroundings = [
  ...['-f 0', '-f 1', '-s 64', '-d 1000', '-t 0', '-v 20000', '-l 0', '-c 0'].map((limit) => `ulimit ${limit}`),
  ...Array.from({ length: 20 }, (_, index) => `ulimit -n ${index + 5}`),
  ...['exec <&-', 'exec >&-', 'exec 2>&-', 'exec <&- >&- 2>&-', 'exec 3</etc/passwd 9</etc/passwd', 'umask 000'],
  ...['umask 777', 'trap "" PIPE TERM HUP', 'exec >/dev/full', 'exec </dev/zero'],
];

describe.skipIf(whyNoSandbox())('a user who calls the helper with little or strange things around it', () => {
  let host: PolicyHost;
  beforeAll(async () => {
    host = await startPolicyHost(sampleCommands);
  });
  afterAll(() => host?.sandbox.close());

  it('gets a whole command or none, and the next one works', { timeout: 300_000 }, async () => {
    const { layout, sandbox } = host;
    const marks = async () => (await sandbox.root(`cat ${layout.state}/marks`)).trim().split('\n');
    expect(await host.sudo('mark', '1', 'first')).toMatchObject({ code: 0 });
    let fence = 1;
    for (const around of surroundings) {
      fence += 1;
      const before = await marks();
      const line = `${around}; exec /usr/bin/sudo -n -- ${layout.helper} mark ${fence} around`;
      await host.asUser(['/bin/sh', '-c', line]);
      const newest = Number(await sandbox.root(`cat ${layout.state}/host.fence`));
      expect([fence - 1, fence], around).toContain(newest);
      const after = await marks();
      // What was done was admitted before.
      expect([...before, ...(newest === fence ? ['around'] : [])].join(), around).toContain(after.join());
      expect(await host.sudo('mark', String(fence), 'next'), around).toMatchObject({ code: 0, stderr: '' });
    }
    const open = `find ${layout.state} -perm /077 -o ! -user root`;
    expect(await sandbox.root(open)).toBe('');
    expect((await marks()).filter((mark) => mark === 'next')).toHaveLength(surroundings.length);
  });
});
