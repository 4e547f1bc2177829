import { describe, expect, it } from 'vitest';
import { checkPassword, hashPassword, isPassword, nobodysHash } from '../../src/people/password.ts';
import { cheap } from './people.ts';

describe('a password', () => {
  it.each([
    ['short', /fewer than 12/],
    ['elevenchars', /fewer than 12/],
    ['🦉🦉🦉🦉🦉🦉', /fewer than 12/],
    ['x'.repeat(501), /more than 500/],
    ['a sentence\nof two lines', /control character/],
    ['aaaaaaaaaaaaaaaa', /different characters/],
    ['12121212121212', /different characters/],
    ['owls!owls!owls!', /repeated/],
    ['passwordpassword', /repeated/],
    ['Password-1234!', /most common/],
    ['P@ssw0rd12345', /most common/],
    ['administrator1', /most common/],
    ['correcthorsebatterystaple', /most common/],
    ['proxmox-admin-2026', /most common/],
    ['iloveyou12345', /most common/],
    ['qwertyuiopas', /in a row/],
    ['1234567890123', /in a row/],
    ['1qaz2wsx3edc', /in a row/],
    ['zyxwvutsrqpo', /in a row/],
    ['anna.anna.1985', /your name/],
    ['Anna-1985-Anna', /your name/],
    ['four quiet owls at noon', undefined],
    ['Blåbær på fjellet', undefined],
    ['anna reads seven maps', undefined],
    ['k8#vQ2!mZp0x', undefined],
  ])('%j of anna: %s', (password, why) => {
    const check = () => checkPassword(password, 'anna');
    if (why === undefined) expect(check).not.toThrow();
    else expect(check).toThrow(why);
  });

  it('is the same however its letters were composed', async () => {
    const hash = await hashPassword('Blåbær på fjellet'.normalize('NFC'), cheap);
    expect(await isPassword(hash, 'Blåbær på fjellet'.normalize('NFD'))).toBe(true);
    expect(await isPassword(hash, 'Blabær på fjellet')).toBe(false);
  });

  it('of nobody is none at all', async () => {
    const hash = nobodysHash(cheap);
    for (const guess of ['', '\0', '0'.repeat(32)]) expect(await isPassword(hash, guess)).toBe(false);
  });
});
