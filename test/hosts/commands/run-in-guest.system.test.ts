import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { containerAllows, execInContainer, wordsOf } from '../../../src/hosts/commands/run-in-guest/containers.ts';
import { type PolicyHost, startPolicyHost } from '../helper/sandbox/policy-host.ts';
import { whyNoSandbox } from '../helper/sandbox/sandbox.ts';

// The real sudo and the real helper, in a sandbox whose containers are processes in user namespaces.
let host: PolicyHost;
let job = 0;

/** `pct exec` as it is asked: it notes what it got, and what is open in it, and does it. */
const pct = `#!/bin/sh
printf '%s\\n' "$@" | base64 -w0 >>/root/asked; echo >>/root/asked
ls -l /proc/self/fd | sed -n 's/.*fd.*//; s/.* \\([0-9]*\\) -> /\\1 /p' | sort -u >>/root/open
env >/root/environment
shift 3; exec "$@"
`;
const lxcInfo = `#!/bin/sh
[ -e "/run/init-$2" ] && cat "/run/init-$2"
`;

beforeAll(async () => {
  if (whyNoSandbox()) return;
  host = await startPolicyHost();
  const { sandbox } = host;
  await sandbox.write('/usr/sbin/pct', pct, 0o755);
  await sandbox.write('/usr/sbin/lxc-info', lxcInfo, 0o755);
  await sandbox.root('mkdir -p /etc/pve/lxc');
  await container(101, 'arch: amd64\nunprivileged: 1\n', '0 100000 65536');
  await container(102, 'arch: amd64\n', '0 0 4294967295');
  await container(103, 'arch: amd64\nunprivileged: 1\n', '0 0 4294967295');
  await container(104, 'arch: amd64\n\n[pve:pending]\nunprivileged: 1\n', '0 0 4294967295');
  await container(105, 'arch: amd64\nunprivileged: 1\n', '0 100000 1000\n1000 0 1');
  await container(106, 'arch: amd64\nunprivileged: 0\n#unprivileged: 1\n', '0 0 4294967295');
  await sandbox.root("printf 'unprivileged: 1\\n' >/etc/pve/lxc/107.conf");
}, 120_000);
afterAll(() => host?.sandbox.close());

beforeEach(async () => {
  await host.sandbox.root('rm -f /root/asked /root/open; touch /root/asked /root/open');
});

const its = it.skipIf(whyNoSandbox());

async function container(vmid: number, config: string, map: string): Promise<void> {
  await host.sandbox.write(`/etc/pve/lxc/${vmid}.conf`, config);
  // A process whose mapping is what a container's first one has.
  await host.sandbox.root(`
    sleep 3600 </dev/null >/dev/null 2>&1 & pid=$!
    printf '%b\\n' '${map.replace(/\n/g, '\\n')}' >/run/map-${vmid}
    mount --bind /run/map-${vmid} /proc/$pid/uid_map
    mount --bind /run/map-${vmid} /proc/$pid/gid_map
    echo $pid >/run/init-${vmid}`);
}

/** Runs it as a job, by sudo as the service does, and waits for its end. */
async function run(vmid: number, command: readonly string[] | string, seconds = 20) {
  job += 1;
  const words = typeof command === 'string' ? command : wordsOf(command);
  const fence = String(Date.now());
  const started = await host.sudo(
    ...['job-start', `run-${job}`, 'run-in-guest/test', 'exec-in-container', fence, fence, String(vmid)],
    ...[String(seconds), words],
  );
  if (started.code !== 0) return { refused: started, answer: undefined };
  for (;;) {
    const { stdout } = await host.sudo('job-status', `run-${job}`, '0', '0');
    const [, state, exit] = /^state (\S+) (\S+)/m.exec(stdout) ?? [];
    if (state === 'running' || state === 'starting') continue;
    const result = { exitCode: Number(exit), stdout: await output('stdout'), stderr: await output('stderr') };
    const answer = execInContainer.answer.safeParse(result).data;
    return { state, ...result, answer };
  }
}

/** All that the job has said, in as many looks as it takes. */
async function output(name: 'stdout' | 'stderr'): Promise<string> {
  let all = Buffer.alloc(0);
  for (;;) {
    const offset = String(all.length);
    const { stdout } = await host.sudo('job-status', `run-${job}`, offset, offset);
    const part = new RegExp(`^${name} \\d+ \\d+ (\\S+)$`, 'm').exec(stdout)?.[1];
    if (part === undefined) return all.toString();
    all = Buffer.concat([all, Buffer.from(part, 'base64')]);
  }
}

async function asked(): Promise<string[][]> {
  const lines = (await host.sandbox.read('/root/asked')).split('\n').filter(Boolean);
  return lines.map((line) => Buffer.from(line, 'base64').toString().replace(/\n$/, '').split('\n'));
}

describe('in an unprivileged container that runs', () => {
  its('the words arrive as they are, whatever is in them', async () => {
    const words = ['printf', '%s|', 'a b', '$(touch /root/mark)', "it's", '"', ';', '-x', '', '*', 'ü\u202e', '\\n'];
    const { answer } = await run(101, words);
    expect(answer).toMatchObject({
      exit: 0,
      late: false,
      out: words
        .slice(2)
        .map((word) => `${word}|`)
        .join(''),
      cut: [],
    });
    expect(await asked()).toEqual([['exec', '101', '--', ...words]]);
    await expect(host.sandbox.read('/root/mark')).rejects.toThrow();
  });

  its('line ends of a word are kept', async () => {
    const { answer } = await run(101, ['printf', '%s', 'a\n\n']);
    expect(answer).toMatchObject({ out: 'a\n\n' });
  });

  its('its exit code is an answer, and nothing that it says passes for one', async () => {
    const { answer } = await run(101, ['sh', '-c', 'echo "exit 0"; echo "late" >&2; exit 10']);
    expect(answer).toEqual({ exit: 10, late: false, out: 'exit 0\n', err: 'late\n', cut: [] });
  });

  its('of much output the start is kept, and the command is not held up', async () => {
    const { answer } = await run(101, ['sh', '-c', 'head -c 3000000 /dev/zero | tr "\\0" a; echo done >&2']);
    expect(answer).toMatchObject({ exit: 0, out: 'a'.repeat(49_152), err: 'done\n', cut: ['out'] });
  });

  its('one that takes too long is said to be late', async () => {
    const { answer } = await run(101, ['sleep', '60'], 2);
    expect(answer).toMatchObject({ late: true });
  });

  its('what it leaves behind does not hold the answer up', async () => {
    const began = Date.now();
    const { answer } = await run(101, ['sh', '-c', 'sleep 30 & echo started']);
    expect(answer).toMatchObject({ exit: 0, out: 'started\n' });
    expect(Date.now() - began).toBeLessThan(15_000);
  });

  its('none of what is open in the helper is open in there', async () => {
    await run(101, ['true']);
    const open = (await host.sandbox.read('/root/open')).split('\n').filter(Boolean);
    expect(open.filter((line) => !/^[012] |^3 \/proc\//.test(line))).toEqual([]);
    expect(open.filter((line) => /fence|jobs.*(meta|command)|\.lock/.test(line))).toEqual([]);
    expect(await host.sandbox.read('/root/environment')).not.toMatch(/SUDO_|TEMPORAL|LOGNAME=claude/);
  });
});

describe('is refused, and nothing is run', () => {
  its.each([
    ['a privileged container', 102, 10],
    ['one whose configuration says otherwise than what runs', 103, 10],
    ['one that is only to become unprivileged', 104, 10],
    ['one that has root of this host in it', 105, 10],
    ['one whose comment says so', 106, 10],
    ['one that does not run', 107, 13],
    ['one that there is not', 108, 11],
  ])('%s', async (_, vmid, exitCode) => {
    const allows = await host.sudo(containerAllows.name, String(vmid));
    expect(allows.code).toBe(exitCode);
    expect(await run(vmid, ['true'])).toMatchObject({ exitCode, stdout: '' });
    expect(await asked()).toEqual([]);
  });

  its.each(['w', 'bHM', 'w.b$M', 'w.bHM;id', 'w.bHM w.aWQ', '--', 'w.../etc/shadow', 'w.bH=M', `w.${'a'.repeat(701)}`])(
    'words that are no words: %s',
    async (words) => {
      const { refused } = await run(101, words);
      expect(refused?.code).toBeGreaterThan(0);
      expect(await asked()).toEqual([]);
    },
  );

  its('words that are of the form and are no base64url', async () => {
    expect(await run(101, 'w.b')).toMatchObject({ exitCode: 12, stdout: '' });
    expect(await run(101, 'wbHM')).toMatchObject({ exitCode: 12, stdout: '' });
    expect(await asked()).toEqual([]);
  });

  its('without the locks, and after newer ones', async () => {
    const old = String(Date.now() - 600_000);
    const now = String(Date.now());
    const start = ['exec-in-container', old, old, '101', '5', wordsOf(['true'])];
    await host.sudo('job-start', 'newer', 'run/x', 'exec-in-container', now, now, '101', '5', wordsOf(['true']));
    const older = await host.sudo('job-start', 'older', 'run/y', ...start);
    expect(older).toMatchObject({ code: 75, stderr: expect.stringContaining('fenced-out') });
  });
});
