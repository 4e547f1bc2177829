import { describe, expect, it } from 'vitest';
import { type ChangeControl, judgeChangeControl, judgeServiceSwitch } from '../../src/hosts/change-control.ts';
import { switchWords, toldLines } from '../../src/reports/switch.ts';

const pve1 = { name: 'pve1', timeZone: 'Europe/Vienna' };
const stopped = { on: false, host: 'pve1 4f1c' };
const signing = {
  host: 'pve1 4f1c',
  verifies: true,
  administrators: ['anna', 'berta'],
  signed: ['change-unit', 'all-dangerous'],
};
const judge = (more: { stopped?: object; signing?: Partial<typeof signing> | object } = {}) => {
  const control = {
    stopped: { ...stopped, ...more.stopped },
    signing: { ...signing, ...more.signing },
  } as ChangeControl;
  const [changes, signatures] = judgeChangeControl(pve1, control);
  return { changes, signatures };
};

describe('what a host says of changes', () => {
  it('is well where changes are allowed and the lists fit', () => {
    const { changes, signatures } = judge();
    expect(changes).toEqual({ check: 'Changes', verdict: 'ok', summary: 'Changes are allowed on pve1.' });
    expect(signatures).toMatchObject({ verdict: 'ok', summary: expect.stringContaining('anna, berta') });
    expect(judge({ signing: { administrators: [], signed: [] } }).signatures).toMatchObject({ verdict: 'ok' });
  });

  it('names who stopped them, when and why, and how that is lifted', () => {
    const said = { on: true, since: '2026-11-26T08:00:00.000Z', by: 'person:anna', why: 'a disk fails' };
    expect(judge({ stopped: said }).changes).toMatchObject({
      verdict: 'warning',
      summary: expect.stringMatching(/since 2026-11-26 09:00.*, by person:anna \(a disk fails\)/),
      remedy: expect.stringMatching(/changes allow .*--sign KEYFILE.*host allow-changes pve1/),
    });
    expect(judge({ stopped: { on: true } }).changes?.summary).toContain('by somebody');
  });

  it.each([
    ['a misspelt command', { signed: ['chnage-unit'] }, 'chnage-unit is no command'],
    ['two of them', { signed: ['a-b', 'c-d'] }, 'are no commands'],
    ['one that only looks', { signed: ['unit-state'] }, 'unit-state is no command that changes something'],
    ['a list that others write', { signed: ['everything'] }, 'others than root'],
    ['nobody who could sign', { administrators: [] }, 'none of them is executed'],
    ['an old ssh-keygen', { verifies: false }, 'OpenSSH 8.2'],
    ['no machine id', { host: undefined }, '/etc/machine-id'],
  ])('warns of %s', (_what, more, words) => {
    expect(judge({ signing: more }).signatures).toMatchObject({
      verdict: 'warning',
      summary: expect.stringContaining(words),
      remedy: expect.stringMatching(/./),
    });
  });
});

describe('the service’s own switch', () => {
  const on = {
    on: true,
    number: 3,
    since: '2026-11-26T08:00:00.000Z',
    by: { kind: 'mcp', name: 'claude' } as const,
    why: 'guest 100 behaves strangely',
    hosts: [
      { host: 'pve1', at: '2026-11-26T08:00:01.000Z' },
      { host: 'pve2', why: 'no answer', tries: 2 },
      { host: 'pve3' },
    ],
  };

  it('is a warning while it is on, with the hosts that are not told', () => {
    expect(judgeServiceSwitch({ on: false, number: 0 }, 'UTC')).toMatchObject({ verdict: 'ok' });
    expect(judgeServiceSwitch(on, 'UTC')).toMatchObject({
      verdict: 'warning',
      summary: expect.stringMatching(/by claude \(guest 100 behaves strangely\).*Not told yet: pve2.*pve3\.$/),
      remedy: expect.stringContaining('changes allow'),
    });
  });

  it('is said in words, host by host', () => {
    expect(switchWords(on, 'UTC')).toMatch(/^All changes are stopped since .* by claude: guest 100 behaves strangely$/);
    expect(switchWords({ on: false, number: 0 }, 'UTC')).toBe('Changes are allowed.');
    expect(toldLines(on, 'UTC')).toEqual([
      expect.stringMatching(/^pve1 refuses changes itself since 2026-11-26 08:00/),
      'pve2 is not told yet, and is told again: no answer',
      'pve3 is not told yet.',
    ]);
    expect(toldLines({ ...on, on: false }, 'UTC')).toEqual([]);
    const { hosts: _hosts, ...unknown } = on;
    expect(toldLines(unknown, 'UTC')).toEqual(['The hosts are not told yet.']);
  });
});
