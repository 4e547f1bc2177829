import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { judgePort, judgeUser, otherLogins, peopleChecks } from '../../../src/cli/doctor/people.ts';
import type { Config } from '../../../src/config.ts';
import { machineUsers } from '../../../src/people/machine-users.ts';
import { createPeople, peopleFile } from '../../../src/people/store.ts';
import { offerTotp } from '../../../src/people/totp.ts';
import { cheap, codeAt, dataFolder, password } from '../../people/people.ts';
import { freePort } from '../../support/free-ports.ts';

const temporal = { namespace: 'default', port: 1, uiPort: 1, uiUrl: '' };
const checked = async (check: string, config: Partial<Config>) => {
  const folders = { dataDir: '/none', accessDir: config.dataDir ?? '/none' };
  const found = peopleChecks({ temporal, ...folders, ...config } as Config).find((one) => one.check === check);
  return found?.run(AbortSignal.timeout(20_000));
};

describe('doctor, about people', () => {
  it('says that nobody can approve, who signs in by a password alone, and who is locked', async () => {
    const dataDir = dataFolder();
    const people = createPeople(peopleFile(dataDir), { cost: cheap });
    expect(await checked('Administrators', { dataDir })).toMatchObject({
      verdict: 'warning',
      remedy: expect.stringContaining('npx proxmox-mcp people add NAME'),
    });
    expect(await checked('Second factor', { dataDir })).toMatchObject({ verdict: 'skipped' });
    await people.add({ name: 'anna', role: 'administrator', password, first: true });
    await people.add({ name: 'carl', role: 'operator', password, first: false });
    expect(await checked('Administrators', { dataDir })).toMatchObject({ verdict: 'ok', summary: 'anna' });
    expect(await checked('Second factor', { dataDir })).toMatchObject({
      verdict: 'warning',
      summary: 'a password alone lets in anna',
      remedy: expect.stringContaining('people totp anna'),
    });
    const secret = offerTotp('anna').secret.reveal();
    await people.setTotp('anna', { secret, code: codeAt(secret, Date.now()) });
    expect(await checked('Second factor', { dataDir })).toMatchObject({ verdict: 'ok' });
    for (let i = 0; i < 5; i += 1) await people.signIn({ name: 'anna', password: 'wrong' }).catch(() => undefined);
    expect(await checked('Administrators', { dataDir })).toMatchObject({
      verdict: 'warning',
      summary: 'wrong sign-ins have locked anna',
    });
  });

  it.each([
    [{ login: 1000, runsAs: 998, owner: 998 }, 'ok', /runs as u998, and you log in as u1000/],
    [{ login: 1000, runsAs: 1000, owner: 1000 }, 'warning', /runs as u1000, who also logs in here/],
    [{ login: 1000, runsAs: 998, owner: 1000 }, 'warning', /has its files from u1000/],
    [{ login: 0, runsAs: 998, owner: 998 }, 'warning', /you log in as root/],
    [{ login: 0, runsAs: 0, owner: 0 }, 'warning', /you log in as root/],
  ] as const)('says what a sign-in is worth: %j is %s', (users, verdict, summary) => {
    const found = judgeUser(users, (uid) => `u${uid}`);
    expect(found).toMatchObject({ verdict, summary: expect.stringMatching(summary) });
    if (verdict === 'warning') expect(found.remedy).toMatch(/user.*signatures that the host verifies/);
  });

  it('looks at the users that are there', async () => {
    expect(await checked('User of the service', { dataDir: join(dataFolder(), 'none') })).toMatchObject({
      verdict: 'skipped',
    });
    expect(['ok', 'warning']).toContain((await checked('User of the service', { dataDir: dataFolder() }))?.verdict);
  });

  it('tells who else reaches Temporal', async () => {
    const passwd =
      'root:x:0:0::/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/bash\n' +
      'www-data:x:33:33::/var/www:/usr/sbin/nologin\nold:x:1002:1002::/:/usr/sbin/nologin\nnobody:x:65534:65534::/:/bin/sh\n';
    expect(otherLogins(machineUsers(passwd), 1000)).toEqual(['bob']);
    expect(judgePort({ open: [7233], isTried: true, others: [] })).toMatchObject({
      verdict: 'warning',
      summary: expect.stringMatching(/every user of this machine reaches 7233/),
    });
    expect(judgePort({ open: [], isTried: true, others: ['bob'] }).verdict).toBe('ok');
    expect(judgePort({ open: [], isTried: false, others: ['bob'] })).toMatchObject({
      verdict: 'warning',
      summary: expect.stringMatching(/^bob may reach it too/),
      remedy: expect.stringMatching(/as root to have it tried/),
    });
    expect(judgePort({ open: [], isTried: false, others: [] }).verdict).toBe('ok');
  });

  it('tries it where it may, and not what is not there or elsewhere', async () => {
    const closed = { ...temporal, port: await freePort() };
    expect(await checked("Temporal's port", { temporal: closed })).toMatchObject({ verdict: 'skipped' });
    const elsewhere = { ...temporal, address: 'temporal.example.org:7233' };
    expect(await checked("Temporal's port", { temporal: elsewhere })).toMatchObject({ verdict: 'skipped' });
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const found = await checked("Temporal's port", { temporal: { ...temporal, port, uiPort: port } });
    // As root it is really tried as another user, who reaches it; else it depends on who logs in here.
    if (process.getuid?.() === 0)
      expect(found?.summary).toMatch(/every user of this machine reaches|nobody else|may reach it too/);
    else expect(['ok', 'warning']).toContain(found?.verdict);
  });
});
