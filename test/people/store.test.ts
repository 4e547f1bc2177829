import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { roles } from '../../src/people/person.ts';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import { offerTotp } from '../../src/people/totp.ts';
import { codeAt, dataFolder, password, peopleOf } from './people.ts';

const wrong = { code: 'unauthenticated' };
const locked = { code: 'rate-limited' };
const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBd0T1WMmxl+IFxBTsHcEYpCAWxeT3Yxi9lmyX7YJ8jK anna@laptop';

async function withAnna() {
  const made = peopleOf();
  await made.people.add({ name: 'anna', role: 'administrator', password, first: true });
  return made;
}

describe('the file of people', () => {
  it('has the first one as administrator, and no password or readable mode', async () => {
    const { people, folder } = await withAnna();
    expect(people.list()).toEqual([
      {
        name: 'anna',
        role: 'administrator',
        mail: [],
        totp: false,
        keys: [],
        createdAt: '2026-11-26T12:00:00.000Z',
        disabled: false,
      },
    ]);
    await people.signIn({ name: 'anna', password });
    expect(readdirSync(folder).sort()).toEqual(['people.json', 'sign-ins.json']);
    for (const file of readdirSync(folder)) {
      expect(readFileSync(join(folder, file), 'utf8')).not.toContain(password);
      expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    }
  });

  it('hashes with argon2id and what OWASP recommends, unless a test says otherwise', async () => {
    const path = peopleFile(dataFolder());
    await createPeople(path).add({ name: 'anna', role: 'administrator', password, first: true });
    expect(readFileSync(path, 'utf8')).toContain('$argon2id$v=19$m=47104,t=1,p=1$');
  });

  it('lets only one be the first, and nobody but an administrator', async () => {
    const { people, open } = peopleOf();
    await expect(people.add({ name: 'bob', role: 'operator', password, first: true })).rejects.toMatchObject({
      code: 'invalid-input',
    });
    await expect(people.add({ name: 'bob', role: 'observer', password, first: false })).rejects.toMatchObject({
      code: 'conflict',
    });
    const both = await Promise.allSettled(
      ['anna', 'mallory'].map((name) => open().add({ name, role: 'administrator', password, first: true })),
    );
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(people.list()).toHaveLength(1);
  });

  it('refuses a second person of a name, also in other letters, and what is no name, role or address', async () => {
    const { people } = await withAnna();
    const bob = { name: 'bob', role: 'observer' as const, password, first: false };
    await expect(people.add({ ...bob, name: 'Anna' })).rejects.toMatchObject({ code: 'already-exists' });
    for (const change of [
      { name: '../bob' },
      { name: '' },
      { role: 'root' as 'observer' },
      { mail: ['bob'] },
      { mail: ['bob@example.com\nBcc: all@example.com'] },
    ]) {
      await expect(people.add({ ...bob, ...change }), JSON.stringify(change)).rejects.toMatchObject({
        code: 'invalid-input',
      });
    }
    await people.add({ ...bob, mail: ['bob@example.com'] });
    expect(people.find('bob')?.mail).toEqual(['bob@example.com']);
    expect(people.find('carl')).toBeUndefined();
    await expect(people.setRole('carl', 'operator')).rejects.toMatchObject({ remedy: 'There are: anna, bob.' });
  });

  it('keeps an administrator, whatever is done in whatever order', async () => {
    const names = ['anna', 'bob', 'carl'];
    const name = fc.constantFrom(...names);
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), name, role: fc.constantFrom(...roles), first: fc.boolean() }),
      fc.record({ do: fc.constant('remove' as const), name }),
      fc.record({ do: fc.constant('role' as const), name, role: fc.constantFrom(...roles) }),
      fc.record({ do: fc.constant('disable' as const), name, disabled: fc.boolean() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { people } = await withAnna();
        for (const one of steps) {
          const done =
            one.do === 'add'
              ? people.add({ ...one, password })
              : one.do === 'remove'
                ? people.remove(one.name)
                : one.do === 'role'
                  ? people.setRole(one.name, one.role)
                  : people.setDisabled(one.name, one.disabled);
          await done.catch(() => undefined);
          expect(people.list().some(({ role, disabled }) => role === 'administrator' && !disabled)).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('says that the last administrator has to stay, and lets them go when there is another', async () => {
    const { people } = await withAnna();
    for (const change of [
      people.remove('anna'),
      people.setRole('anna', 'operator'),
      people.setDisabled('anna', true),
    ]) {
      await expect(change).rejects.toMatchObject({ code: 'conflict', message: /last administrator/ });
    }
    await people.add({ name: 'bob', role: 'administrator', password, first: false });
    await people.remove('anna');
    expect(people.list().map(({ name }) => name)).toEqual(['bob']);
  });

  it.each(['', '{"version":1}', '{"version":1,"people":[{"name":"anna"}]}'])(
    'lets nobody in with a damaged file, nor makes a first person of it: %j',
    async (text) => {
      const { people, folder } = await withAnna();
      writeFileSync(peopleFile(folder), text, { mode: 0o600 });
      await expect(people.signIn({ name: 'anna', password })).rejects.toMatchObject({ code: 'unreadable' });
      await expect(people.add({ name: 'mallory', role: 'administrator', password, first: true })).rejects.toMatchObject(
        { code: 'unreadable' },
      );
      expect(readFileSync(peopleFile(folder), 'utf8')).toBe(text);
    },
  );

  it('lets nobody in with a file that others may write', async () => {
    const { people, folder } = await withAnna();
    chmodSync(peopleFile(folder), 0o620);
    await expect(people.signIn({ name: 'anna', password })).rejects.toMatchObject({ code: 'configuration' });
  });

  it('keeps the public keys that somebody signs with, each for one person', async () => {
    const { people } = await withAnna();
    await people.add({ name: 'bob', role: 'operator', password, first: false });
    expect((await people.addKey('anna', `${key}\n`)).keys).toEqual([key]);
    await expect(people.addKey('bob', key.replace('anna@laptop', 'mine'))).rejects.toMatchObject({
      code: 'already-exists',
    });
    await expect(people.removeKey('anna', 'SHA256:no')).rejects.toMatchObject({ code: 'not-found' });
    const shown = 'SHA256:M4E6XPBcv6lNr0UEvv/u59dqUAhHJ1nLuGUZMCx9Ht8';
    await expect(people.removeKey('bob', shown)).rejects.toMatchObject({ remedy: 'They have none at all.' });
  });
});

describe('signing in', () => {
  it('says the same of an unknown name, a wrong password, a wrong code, a missing one and a disabled person', async () => {
    const { people, clock } = await withAnna();
    await people.add({ name: 'bob', role: 'observer', password, first: false });
    await people.setDisabled('bob', true);
    const secret = offerTotp('anna').secret.reveal();
    await people.setTotp('anna', { secret, code: codeAt(secret, clock.now) });
    const code = codeAt(secret, clock.now + 30_000);
    const answers: unknown[] = [];
    for (const given of [
      { name: 'nobody', password, code },
      { name: '', password: '' },
      { name: 'anna', password: `${password}.`, code },
      { name: 'anna', password: 'x'.repeat(100_000), code },
      { name: 'anna', password, code: '000000' },
      { name: 'anna', password },
      { name: 'bob', password },
    ]) {
      const error = await people.signIn(given).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject(wrong);
      answers.push(`${(error as Error).message} ${JSON.stringify(error)}`);
    }
    expect(new Set(answers).size).toBe(1);
    expect(await people.signIn({ name: 'anna', password, code })).toMatchObject({ name: 'anna', totp: true });
  });

  it('hashes for a name that nobody has what it hashes for one that is there', async () => {
    const folder = dataFolder();
    const people = createPeople(peopleFile(folder));
    await people.add({ name: 'anna', role: 'administrator', password, first: true });
    const took = async (name: string) => {
      const started = process.cpuUsage();
      await people.signIn({ name, password: 'wrong wrong wrong' }).catch(() => undefined);
      const { user, system } = process.cpuUsage(started);
      return user + system;
    };
    const fastest = async (names: readonly string[]) => {
      const all: number[] = [];
      for (const name of names) all.push(await took(name));
      return Math.min(...all);
    };
    const known = await fastest(['anna', 'anna', 'anna', 'anna']);
    const unknown = await fastest(['bob', 'carl', 'dora', 'emil']);
    // Without the hash it would be a twentieth; the fastest of several is nobody else's work.
    expect(unknown).toBeGreaterThan(known / 4);
  });

  it('takes each code once, with one step of tolerance, in every process', async () => {
    const { people, open, clock } = await withAnna();
    const secret = offerTotp('anna').secret.reveal();
    await expect(people.setTotp('anna', { secret, code: '12345' })).rejects.toMatchObject({ code: 'invalid-input' });
    const setUp = codeAt(secret, clock.now);
    await people.setTotp('anna', { secret, code: setUp });
    const signIn = (code: string) => open().signIn({ name: 'anna', password, code });
    await expect(signIn(setUp)).rejects.toMatchObject(wrong);
    clock.now += 90_000;
    await expect(signIn(codeAt(secret, clock.now - 60_000))).rejects.toMatchObject(wrong);
    await expect(signIn(codeAt(secret, clock.now + 60_000))).rejects.toMatchObject(wrong);
    const code = codeAt(secret, clock.now);
    const both = await Promise.allSettled([signIn(code), signIn(code)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await expect(signIn(codeAt(secret, clock.now - 30_000))).rejects.toMatchObject(wrong);
    await signIn(`${codeAt(secret, clock.now + 30_000).slice(0, 3)} ${codeAt(secret, clock.now + 30_000).slice(3)}`);
  });

  it('locks a name after five wrong ones, twice as long each time up to an hour, and nobody else', async () => {
    const { people, open, clock } = await withAnna();
    await people.add({ name: 'bob', role: 'operator', password, first: false });
    const miss = () => open().signIn({ name: 'anna', password: 'wrong' });
    for (let i = 0; i < 5; i += 1) await expect(miss()).rejects.toMatchObject(wrong);
    for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
      expect(people.lockedUntil('anna')).toBe(clock.now + minutes * 60_000);
      await expect(people.signIn({ name: 'anna', password })).rejects.toMatchObject({
        ...locked,
        details: { retryAfterSeconds: minutes * 60 },
      });
      expect(await people.signIn({ name: 'bob', password })).toMatchObject({ name: 'bob' });
      clock.now += minutes * 60_000;
      await expect(miss()).rejects.toMatchObject(wrong);
    }
    clock.now += 3_600_000;
    await people.signIn({ name: 'anna', password });
    for (let i = 0; i < 4; i += 1) await expect(miss()).rejects.toMatchObject(wrong);
    await people.signIn({ name: 'anna', password });
  });

  it('counts many at once like many one after another', async () => {
    const { open } = await withAnna();
    const ended = await Promise.allSettled(
      Array.from({ length: 12 }, () => open().signIn({ name: 'anna', password: 'wrong' })),
    );
    const codes = ended.map((one) => (one.status === 'rejected' ? one.reason.code : 'in'));
    expect(codes.filter((code) => code === 'unauthenticated')).toHaveLength(5);
    expect(codes.filter((code) => code === 'rate-limited')).toHaveLength(7);
  });

  it('locks a name that nobody has as any other, says the same, and keeps no more than 500 of them', async () => {
    const { people, folder, clock } = await withAnna();
    const answer = async (name: string) => {
      for (let i = 0; i < 5; i += 1)
        await expect(people.signIn({ name, password: 'wrong' })).rejects.toMatchObject(wrong);
      return people.signIn({ name, password }).catch(({ code, message }) => ({ code, message }));
    };
    const ofAnna = await answer('anna');
    expect(await answer('my password, typed as a name')).toEqual(ofAnna);
    const file = join(folder, 'sign-ins.json');
    const { salt, attempts } = JSON.parse(readFileSync(file, 'utf8'));
    expect(JSON.stringify(attempts)).not.toMatch(/anna|typed/);
    const many = Object.fromEntries(
      Array.from({ length: 2_000 }, (_, i) => [`key${i}`, { wrong: 1, at: clock.now + i }]),
    );
    writeFileSync(file, JSON.stringify({ version: 1, salt, attempts: { ...attempts, ...many } }), { mode: 0o600 });
    await expect(people.signIn({ name: 'one more', password })).rejects.toMatchObject(wrong);
    expect(Object.keys(JSON.parse(readFileSync(file, 'utf8')).attempts)).toHaveLength(501);
    expect(people.lockedUntil('anna')).toBeGreaterThan(clock.now);
  });

  it('locks nobody for a year because the clock was wrong, and nobody in because the file is damaged', async () => {
    const { people, folder, clock } = await withAnna();
    const year = 365 * 24 * 3_600_000;
    clock.now += year;
    for (let i = 0; i < 5; i += 1)
      await expect(people.signIn({ name: 'anna', password: 'wrong' })).rejects.toMatchObject(wrong);
    expect(people.lockedUntil('anna')).toBeDefined();
    clock.now -= year;
    expect(people.lockedUntil('anna')).toBeUndefined();
    await expect(people.signIn({ name: 'anna', password: 'wrong' })).rejects.toMatchObject(wrong);
    await expect(people.signIn({ name: 'anna', password })).rejects.toMatchObject(locked);
    writeFileSync(join(folder, 'sign-ins.json'), '{', { mode: 0o600 });
    await expect(people.signIn({ name: 'anna', password })).rejects.toMatchObject({ code: 'unreadable' });
  });

  it('keeps nobody waiting who is there because many guess names', async () => {
    const { people } = await withAnna();
    const guesses = Array.from({ length: 60 }, (_, i) =>
      people.signIn({ name: `guess-${i}`, password }).catch(({ code }) => code),
    );
    expect(await people.signIn({ name: 'anna', password })).toMatchObject({ name: 'anna' });
    expect(new Set(await Promise.all(guesses))).toContain('unauthenticated');
  });

  it('is judged by who they are then: a password that was changed meanwhile, a person who was disabled', async () => {
    const { people } = await withAnna();
    await people.add({ name: 'bob', role: 'operator', password, first: false });
    const before = people.credentialsOf('bob');
    await people.setPassword('bob', 'another long sentence');
    expect(people.credentialsOf('bob')).not.toBe(before);
    await expect(people.signIn({ name: 'bob', password })).rejects.toMatchObject(wrong);
    await people.signIn({ name: 'bob', password: 'another long sentence' });
    await people.setDisabled('bob', true);
    expect(people.credentialsOf('bob')).toBeUndefined();
    await expect(people.signIn({ name: 'bob', password: 'another long sentence' })).rejects.toMatchObject(wrong);
  });
});
