import { spawn } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { offerTotp } from '../../src/people/totp.ts';
import { configurationFolder } from '../config/folder.ts';
import { cheap, codeAt, password } from '../people/people.ts';
import { bareEnvironment, type Ended, runNode, useBuild } from '../support/built.ts';
import { quoted, startInTerminal } from '../support/pseudo-terminal.ts';

vi.setConfig({ testTimeout: 240_000 });
const build = useBuild();
const other = 'seven maps of old rivers';

/** Of a service that doesn't run, so that no other one is told. */
const configuration = 'DATA_DIR=./data\nDEMO=true\nTEMPORAL_PORT=1\n';

/** A folder with two administrators; anna has a second factor. */
async function withPeople() {
  const folder = configurationFolder({ '.env': configuration });
  const people = createPeople(peopleFile(join(folder, 'data')), { cost: cheap });
  await people.add({ name: 'anna', role: 'administrator', password, first: true });
  await people.add({ name: 'bob', role: 'administrator', password: other, first: false });
  await people.add({ name: 'carl', role: 'operator', password: other, first: false });
  const secret = offerTotp('anna').secret.reveal();
  await people.setTotp('anna', { secret, code: codeAt(secret, Date.now() - 30_000) });
  return { folder, people, code: () => codeAt(secret, Date.now()) };
}

const args = (folder: string, rest: readonly string[]) => ['--config-dir', folder, ...rest];
const cli = (folder: string, ...rest: string[]) => runNode(build.path('src/cli.js'), args(folder, rest));

function commandLine(folder: string, rest: readonly string[]): string {
  return quoted([process.execPath, build.path('src/cli.js'), ...args(folder, rest)]);
}

const atTerminal = (folder: string, ...rest: string[]) => startInTerminal(commandLine(folder, rest));

/** A line of a shell without any terminal, not even that of whoever runs the tests. */
function withoutTerminal(line: string, env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn('setsid', ['-w', 'sh', '-c', line], {
    env: { ...bareEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

describe('people, at a terminal', () => {
  it('makes the first administrator without anybody’s proof, with a second factor, and shows no password', async () => {
    const folder = configurationFolder({ '.env': configuration });
    const add = atTerminal(folder, 'people', 'add', 'anna', '--mail', 'anna@example.com');
    await add.answer('Password of anna: ', password);
    await add.answer('Once more: ', password);
    await add.answer('[Y/n] ', 'y');
    await add.answer('shows now', '000000');
    const secret = /type there: ([A-Z2-7 ]+)/.exec(add.shown())?.[1]?.replaceAll(' ', '') ?? '';
    await add.answer('shows now', codeAt(secret, Date.now()));
    expect(await add.ended).toBe(0);
    expect(add.shown()).toContain('There is nobody yet, so nobody has to agree: anna becomes the first administrator');
    expect(add.shown()).toContain('▀');
    expect(add.shown()).not.toContain(password);
    expect(JSON.parse((await cli(folder, 'people', 'list', '--json')).stdout)).toMatchObject([
      { name: 'anna', role: 'administrator', mail: ['anna@example.com'], totp: true, disabled: false },
    ]);
    expect(statSync(join(folder, 'data/people.json')).mode & 0o777).toBe(0o600);
  });

  it('asks an administrator to sign in for the second person, saying what for', async () => {
    const { folder, people, code } = await withPeople();
    const add = atTerminal(folder, 'people', 'add', 'dora', '--role', 'operator');
    await add.answer('Name: ', 'anna');
    await add.answer('Password: ', password);
    await add.answer('app: ', code());
    await add.answer('Password of dora: ', other);
    await add.answer('Once more: ', other);
    expect(await add.ended).toBe(0);
    expect(add.shown()).toContain('To add dora as operator, an administrator has to sign in.');
    expect(add.shown()).toContain('The service does not run, so the ledger does not have this.');
    expect(add.shown()).not.toMatch(new RegExp(`${password}|${other}`));
    expect(await people.signIn({ name: 'dora', password: other })).toMatchObject({ role: 'operator' });
  });

  it('lets a person set their own password, and nobody else’s', async () => {
    const { folder, people } = await withPeople();
    const own = atTerminal(folder, 'people', 'password', 'carl');
    await own.answer('Name: ', 'carl');
    await own.answer('Password: ', other);
    await own.answer('New password of carl: ', password);
    await own.answer('Once more: ', password);
    expect(await own.ended).toBe(0);
    await people.signIn({ name: 'carl', password });
    const anothers = atTerminal(folder, 'people', 'password', 'bob');
    await anothers.answer('Name: ', 'carl');
    await anothers.answer('Password: ', password);
    expect(await anothers.ended).toBe(1);
    expect(anothers.shown()).toContain('carl is an operator. To set a new password of bob, an administrator is needed');
    await people.signIn({ name: 'bob', password: other });
  });

  it('sets up and takes away a second factor, changes roles, keys and mail', async () => {
    const { folder, people } = await withPeople();
    const asBob = async (...rest: string[]) => {
      const terminal = atTerminal(folder, 'people', ...rest);
      await terminal.answer(/Name( \[bob\])?: /, 'bob');
      await terminal.answer('Password: ', other);
      return terminal;
    };
    const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMAsRuQSWYrR5Bu1TV4SQ3c5yZBLptBHOwGHEwrAtC3I anna@laptop';
    writeFileSync(join(folder, 'key.pub'), `${key}\n`);
    for (const rest of [
      ['totp', 'anna', '--off'],
      ['role', 'carl', 'observer'],
      ['mail', 'carl', 'carl@example.com'],
      ['key', 'carl', join(folder, 'key.pub')],
      ['disable', 'anna'],
    ]) {
      const ended = await asBob(...rest);
      expect(await ended.ended, ended.shown()).toBe(0);
    }
    expect(people.list()).toMatchObject([
      { name: 'anna', totp: false, disabled: true },
      { name: 'bob' },
      { name: 'carl', role: 'observer', mail: ['carl@example.com'], keys: [key] },
    ]);
    expect((await cli(folder, 'people', 'key', 'carl')).stdout).toContain(
      'SHA256:K304GS3tjuI6ZOFBc0URWl+lsHdxAmvpwXVQxv+a2U4',
    );
    expect((await cli(folder, 'people')).stdout).toMatch(/anna +administrator +no +0 +- +disabled/);
    const last = await asBob('remove', 'bob');
    expect(await last.ended).toBe(1);
    expect(last.shown()).toContain('bob is the last administrator');
  });

  it('changes nothing when it is interrupted', async () => {
    const { folder, people } = await withPeople();
    const before = people.list();
    const remove = atTerminal(folder, 'people', 'remove', 'bob');
    await remove.answer('Name: ', 'anna');
    await remove.answer('Password: ', '\u0003');
    expect(await remove.ended).toBe(130);
    expect(people.list()).toEqual(before);
  });
});

describe('people, by a model that has a shell', () => {
  const wanted: readonly (readonly string[])[] = [
    ['add', 'mallory', '--role', 'administrator'],
    ['role', 'carl', 'administrator'],
    ['password', 'anna'],
    ['totp', 'anna', '--off'],
    ['disable', 'bob'],
  ];

  it.each([
    ['nothing', ''],
    ['a pipe', `printf 'anna\\n${password}\\nCODE\\n' |`],
    ['a heredoc', ''],
    ['a file', ''],
  ])('takes no password from %s, though it is the right one', async (how, before) => {
    const { folder, code } = await withPeople();
    const untouched = readFileSync(join(folder, 'data/people.json'), 'utf8');
    const typed = `anna\n${password}\n${code()}\n${other}\n${other}\n`;
    writeFileSync(join(folder, 'typed'), typed);
    const after = { 'a heredoc': `<<'END'\n${typed}END`, 'a file': `<${quoted([join(folder, 'typed')])}` }[how] ?? '';
    for (const rest of wanted) {
      const line = `${before.replace('CODE', code())} ${commandLine(folder, ['people', ...rest])} ${after}`;
      const ended = await withoutTerminal(line);
      expect(ended, line).toMatchObject({ code: 1, stdout: '' });
      expect(ended.stderr).toMatch(/^To .*, a person has to sign in, and there is no terminal here.*in a terminal/);
    }
    expect(readFileSync(join(folder, 'data/people.json'), 'utf8')).toBe(untouched);
  });

  it('takes none from an option or a variable, with a terminal neither', async () => {
    const { folder, code } = await withPeople();
    const untouched = readFileSync(join(folder, 'data/people.json'), 'utf8');
    const remove = ['people', 'remove', 'bob'];
    for (const more of [['--password', password], ['--name', 'anna'], ['--yes'], ['--code', code()], [password]]) {
      expect((await cli(folder, ...remove, ...more)).code, more[0]).toBe(2);
    }
    for (const key of ['PASSWORD', 'PROXMOX_MCP_PASSWORD', 'PEOPLE_PASSWORD']) {
      expect((await cli(folder, '--set', `${key}=${password}`, ...remove)).code).toBe(2);
    }
    const env = {
      PASSWORD: password,
      PROXMOX_MCP_PASSWORD: password,
      USER: 'anna',
      LOGNAME: 'anna',
      SUDO_USER: 'anna',
      SSH_ASKPASS: '/bin/true',
      SSH_ASKPASS_REQUIRE: 'force',
    };
    expect((await withoutTerminal(commandLine(folder, remove), env)).code).toBe(1);
    const terminal = startInTerminal(commandLine(folder, remove), env);
    await terminal.answer('Name: ', 'anna');
    await terminal.answer('Password: ', '');
    await terminal.answer('app: ', code());
    await terminal.answer('Password: ', '\u0003');
    expect(await terminal.ended).toBe(130);
    expect(readFileSync(join(folder, 'data/people.json'), 'utf8')).toBe(untouched);
  });

  it('asks nobody who could not see what for', async () => {
    const { folder } = await withPeople();
    const hidden = startInTerminal(`${commandLine(folder, ['people', 'remove', 'bob'])} 2>/dev/null`);
    expect(await hidden.ended).toBe(1);
    expect(hidden.shown()).toBe('');
  });

  it('fails in a terminal of its own with a wrong password, and locks that name alone', async () => {
    const { folder, people, code } = await withPeople();
    const untouched = people.list();
    for (const attempts of [3, 2]) {
      const guess = atTerminal(folder, 'people', 'remove', 'bob');
      await guess.answer('Name: ', 'anna');
      for (let i = 0; i < attempts; i += 1) {
        await guess.answer('Password: ', `wrong guess ${i}`);
        await guess.answer('app: ', code());
      }
      if (attempts === 2) await guess.answer('Password: ', password).then(() => guess.answer('app: ', code()));
      expect(await guess.ended).toBe(1);
      expect(guess.shown()).toContain('is wrong');
    }
    const right = atTerminal(folder, 'people', 'remove', 'bob');
    await right.answer('Name: ', 'anna');
    await right.answer('Password: ', password);
    await right.answer('app: ', code());
    expect(await right.ended).toBe(1);
    expect(right.shown()).toMatch(/too many wrong sign-ins.*locked for a minute/);
    expect(people.list()).toEqual(untouched);
    expect((await cli(folder, 'people', 'list')).stdout).toMatch(/anna .*locked until/);
    const bob = atTerminal(folder, 'people', 'role', 'carl', 'observer');
    await bob.answer('Name: ', 'bob');
    await bob.answer('Password: ', other);
    expect(await bob.ended).toBe(0);
    expect(people.find('carl')?.role).toBe('observer');
  });

  it('can not be the first person without a terminal', async () => {
    const folder = configurationFolder({ '.env': configuration });
    const line = `printf '${password}\\n${password}\\nn\\n' | ${commandLine(folder, ['people', 'add', 'mallory'])}`;
    const ended = await withoutTerminal(line);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toContain('no terminal here');
    expect((await cli(folder, 'people', 'list', '--json')).stdout.trim()).toBe('[]');
  });
});

describe('the owner of a token', () => {
  it('is who is named, else the only administrator, else nobody', async () => {
    const folder = configurationFolder({ '.env': configuration });
    const create = async (name: string, ...more: string[]) => {
      const { code, stdout, stderr } = await cli(folder, 'token', 'create', name, '--json', ...more);
      return code === 0 ? JSON.parse(stdout).owner : stderr;
    };
    expect(await create('before')).toBeUndefined();
    expect(await create('wrong', '--owner', 'anna')).toContain('There is nobody yet');
    const people = createPeople(peopleFile(join(folder, 'data')), { cost: cheap });
    await people.add({ name: 'anna', role: 'administrator', password, first: true });
    await people.add({ name: 'carl', role: 'operator', password, first: false });
    expect(await create('of-anna')).toBe('anna');
    expect(await create('of-carl', '--owner', 'carl')).toBe('carl');
    expect(await create('wrong', '--owner', 'mallory')).toContain('There are: anna, carl.');
    await people.setRole('carl', 'administrator');
    expect(await create('of-both')).toBeUndefined();
    const list = (await cli(folder, 'token', 'list')).stdout;
    expect(list).toMatch(/NAME +SCOPE +OWNER +MADE/);
    expect(list).toMatch(/before +read +- /);
    expect(list).toMatch(/of-carl +read +carl /);
  });
});
