import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { type Sshd, startSshd } from '../../../lab/sshd.ts';
import { createSshExecutor } from '../../../src/hosts/ssh/executor.ts';
import { findBeginning } from '../../../src/hosts/ssh/login-shell.ts';
import { failure } from './helpers.ts';

const log = pino({ level: 'silent' });
const quick = { timeoutMs: 20_000 };
const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const action of cleanUp.splice(0).reverse()) await action();
});

/** A host whose user's login runs this before the command, as a shell file or sshrc does. */
async function loginThat(script: string) {
  const sshd: Sshd = await startSshd();
  cleanUp.push(sshd.stop);
  const file = join(sshd.folder, 'shell');
  await writeFile(file, `#!/bin/bash\n${script}\neval "$SSH_ORIGINAL_COMMAND"\n`);
  await chmod(file, 0o755);
  const keys = join(sshd.folder, 'authorized_keys');
  await writeFile(keys, `command="${file}" ${await readFile(keys, 'utf8')}`);
  const executor = createSshExecutor({ name: 'pve1', ssh: sshd.ssh, log });
  cleanUp.push(() => executor.close());
  return { executor, folder: sshd.folder };
}

describe('a login that prints', () => {
  it.each([
    ['a line', 'echo hi'],
    ['no line end', 'printf hi'],
    ['very much', 'head -c 300000 /dev/zero | tr "\\0" x'],
    ['bytes', "printf '\\377\\376\\0proxmox-mcp-begins-\\n'"],
    ['on standard error', 'echo hi >&2'],
  ])('%s changes no answer and no copy', async (_what, script) => {
    const { executor, folder } = await loginThat(script);
    expect(await executor.exec(['/usr/bin/printf', '%s', 'answer'], quick)).toMatchObject({
      exitCode: 0,
      stdout: 'answer',
      stdoutBytes: 6,
    });
    expect((await executor.exec(['/bin/cat'], { ...quick, stdin: 'in\nput' })).stdout).toBe('in\nput');
    expect(await executor.exec(['/bin/false'], quick)).toMatchObject({ exitCode: 1, stdout: '' });
    expect(await executor.exec(['/nonexistent/program'], quick)).toMatchObject({ exitCode: 127, stdout: '' });
    await writeFile(join(folder, 'from'), 'x'.repeat(100_000));
    await executor.upload(join(folder, 'from'), join(folder, 'there'), quick);
    await executor.download(join(folder, 'there'), join(folder, 'back'), quick);
    expect(await readFile(join(folder, 'back'), 'utf8')).toBe('x'.repeat(100_000));
  });

  it.each([
    ['exit', 'echo "Welcome"; exit 0', 0, 'Welcome'],
    ['exit with a status', 'exit 3', 3, ''],
    ['nologin', 'echo "This account is currently not available."; exit 1', 1, 'not available'],
  ])('and ends (%s) is named as the cause', async (_what, script, status, said) => {
    const { executor } = await loginThat(script);
    const error = await failure(executor.exec(['/usr/bin/id', '-u'], quick));
    expect(error).toMatchObject({ code: 'command-refused', retryable: false });
    expect(error.message).toContain(`the login shell ended before it, with the exit status ${status}`);
    expect(error.message).toContain(said);
    expect(error.remedy).toContain('~/.bashrc');
  });
});

it('finds the beginning however the bytes are cut', () => {
  const all = Buffer.from('hi proxmox-mcp-begins-a\nproxmox-mcp-begins-a1\nproxmox-mcp-begins-a1\nrest');
  for (let size = 1; size < all.length; size++) {
    const { after, unbegun } = findBeginning('a1');
    const parts: Buffer[] = [];
    for (let at = 0; at < all.length; at += size) parts.push(after(all.subarray(at, at + size)));
    expect(Buffer.concat(parts).toString()).toBe('proxmox-mcp-begins-a1\nrest');
    expect(unbegun()).toBeUndefined();
  }
});
