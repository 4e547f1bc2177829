import { describe, expect, it } from 'vitest';
import { judgeIssues } from '../../../src/activities/check-health/issues.ts';
import { isSelfTest, recentIssues } from '../../../src/hosts/commands/check-health/recent-issues.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';

const now = 1_795_390_200;
const { helper, sudoLog } = defaultLayout;
const inJournal = (said: string) => `journal-line 1795390000.1 pve1 sudo[9]: claude-user : ${said}`;
const inLog = (said: string) => `sudo Nov 22 23:00:01 2026 : claude-user : ${said}`;
const refused = (command: string, pwd = '/home/claude-user') =>
  `command not allowed ; TTY=pts/0 ; PWD=${pwd} ; USER=root ; COMMAND=${command}`;

const read = (...lines: string[]) =>
  judgeIssues(
    recentIssues.answer.parse({
      exitCode: 0,
      stdout: [`now ${now} +0000`, 'yesterday +0000', ...lines].join('\n'),
      stderr: '',
    }),
    defaultLayout,
  );
const journal = (...said: string[]) => read('journal 1795000000', ...said.map(inJournal));
/** Blocked commands, and self-tests, as numbers. */
const numbers = (findings: ReturnType<typeof read>) =>
  ['Blocked commands', 'Self-tests of sudo'].map((check) => {
    const found = findings.find((one) => one.check === check)?.summary ?? '0';
    return Number(/^(\d+|None)/.exec(found)?.[1]?.replace('None', '0'));
  });

describe('self-tests of sudo', () => {
  it('are counted apart from blocked commands', () => {
    const findings = journal(
      refused('/usr/bin/id -u'),
      refused(`${helper} no-such-verb`),
      'a password is required ; PWD=/home/claude-user ; USER=root ; COMMAND=list /bin/cat /dev/null',
      'a password is required ; PWD=/home/claude-user ; USER=root ; COMMAND=list',
      refused('/bin/cat /etc/shadow'),
    );
    expect(findings[0]).toMatchObject({
      verdict: 'warning',
      summary: '1 in the last 24 hours, says the journal.',
      remedy: expect.stringContaining('authorized_keys'),
      evidence: expect.stringContaining('COMMAND=/bin/cat'),
    });
    expect(findings.at(-1)).toEqual({
      check: 'Self-tests of sudo',
      verdict: 'ok',
      summary: '4 refused self-tests of the service in the last 24 hours, says the journal.',
    });
    expect(journal().map(({ check }) => check)).toEqual(['Blocked commands', 'Failed logins']);
  });

  it('are a warning where there are more than anybody makes', () => {
    const findings = journal(...Array.from({ length: 61 }, () => refused('/usr/bin/id -u')));
    expect(findings.at(-1)).toMatchObject({ verdict: 'warning', remedy: expect.stringContaining('imitates') });
  });

  it.each([
    ['another command', refused('/bin/sh')],
    ['more arguments', refused('/usr/bin/id -u root')],
    ['fewer', refused('/usr/bin/id')],
    ['another program of the name', refused('/tmp/usr/bin/id -u')],
    ['another user', 'command not allowed ; PWD=/ ; USER=daemon ; COMMAND=/usr/bin/id -u'],
    ['a group', 'command not allowed ; PWD=/ ; USER=root ; GROUP=shadow ; COMMAND=/usr/bin/id -u'],
    ['an environment', 'command not allowed ; PWD=/ ; USER=root ; ENV=LD_PRELOAD=/x ; COMMAND=/usr/bin/id -u'],
    ['a folder that names a command', refused('/bin/sh', '/tmp/x ; USER=root ; COMMAND=/usr/bin/id -u')],
    ['one that is the last of its line', refused('/usr/bin/id -u', '/tmp/x ; USER=root ; COMMAND=/bin/sh')],
    ['arguments that name a command', refused('/bin/sh ; USER=root ; COMMAND=/usr/bin/id -u')],
    ['the line of a command behind it', `${refused('/usr/bin/id -u')} ; USER=root ; COMMAND=/bin/sh`],
    ['a line that has lost its end', refused('/usr/bin/id -u', `/${'x'.repeat(600)}`)],
    ['another reason', '3 incorrect password attempts ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id -u'],
  ])('are not: %s', (_, said) => {
    expect(numbers(journal(said))).toEqual([1, 0]);
  });

  it('of another user are none of ours', () => {
    const other = inJournal(refused('/usr/bin/id -u')).replace('claude-user', 'claude-user2');
    expect(isSelfTest(other.replace('journal-line ', ''), defaultLayout)).toBe(false);
    expect(isSelfTest(inJournal(refused('/usr/bin/id -u')).replace('journal-line ', ''), defaultLayout)).toBe(true);
  });

  describe("of sudo's own log", () => {
    const log = ['sudo-log 10 1795390000', 'sudo-last Nov 22 23:00:01 2026 : claude-user : x'];
    const test = refused('/usr/bin/id -u');
    /** As it looks where an argument had a line break in it and sudo wrote it as it was. */
    const imitated = [inLog(test), 'sudo Nov 22 23:00:01 2026 : claude-user : PWD=/ ; USER=root ; COMMAND=/bin/sh'];

    it('are what they look like where sudo keeps each line whole', () => {
      expect(numbers(read('sudo-version 1.9.16p2', ...log, inLog(test)))).toEqual([0, 1]);
      expect(numbers(read('sudo-version 1.9.13', ...log, inLog(test), inLog(refused('/bin/sh'))))).toEqual([1, 1]);
    });

    it.each(['1.9.12p2', '1.9.5p2', '1.8.31', 'unknown', ''])('hide nothing where sudo %s may not', (version) => {
      expect(numbers(read(`sudo-version ${version}`, ...log, ...imitated))).toEqual([1, 0]);
    });

    it('are told by the journal, which keeps each entry whole, whatever sudo it is', () => {
      expect(numbers(read('sudo-version 1.9.5p2', 'journal 1795000000', inJournal(test)))).toEqual([0, 1]);
    });

    it('are not believed of a log that anybody writes to', () => {
      const auth = inJournal(test).replace('journal-line 1795390000.1', 'auth Nov 22 23:00:01');
      expect(numbers(read(`auth-log 10 ${now}`, auth))).toEqual([1, 0]);
    });
  });
});

describe('what to do', () => {
  const login = 'journal-line 1795390000.1 pve1 sshd[7]: Failed password for claude-user from 192.0.2.1 port 22';

  it('is said of every line that needs a look', () => {
    const findings = [
      ...read(),
      ...read('sudo-log unreadable', `auth-log 10 ${now}`, 'auth no time at all: Failed password for claude-user'),
      ...read('journal 1795000000', ...Array.from({ length: 25 }, () => login), inJournal(refused('/bin/sh'))),
      ...read('sudo-log 10 1795390000', 'sudo-last some other format'),
    ];
    expect(findings.map(({ verdict }) => verdict)).toEqual(expect.arrayContaining(['failed', 'unknown', 'warning']));
    for (const one of findings) if (one.verdict !== 'ok') expect(one.remedy, one.summary).toMatch(/\w/);
    expect(findings.find(({ summary }) => summary.startsWith(`${sudoLog} can't`))?.remedy).toContain(sudoLog);
  });
});
