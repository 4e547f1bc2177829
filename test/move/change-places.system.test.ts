import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { collectService, packService } from '../../src/backups/service/archive.ts';
import type { Config } from '../../src/config.ts';
import { beginRestore, finishRestore } from '../../src/move/change-places.ts';
import { type RestoreServiceOptions, restoreService } from '../../src/move/restore-service.ts';
import { readRestoredMark, requireFinishedRestore } from '../../src/restored-mark.ts';

// A service without Temporal and ledger, packed and put back on this machine; and what becomes of it when the power is cut.

let folder: string;
const at = (...path: string[]) => join(folder, ...path);
const backup = 'service-backup-20261127-034000';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pmx-places-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), content);
  }
}
const read = (...path: string[]) => readFileSync(at(...path), 'utf8');
const configOf = (data = 'data', access = data) => ({ dataDir: at(data), accessDir: at(access) }) as Config;

async function pack(access = 'data', config = 'config'): Promise<string> {
  const { dataDir, accessDir } = configOf('data', access);
  const sources = { dataDir, accessDir, configFolder: at(config), ownTemporal: false, copyLedger: async () => {} };
  await collectService(sources, at('work'));
  const file = at(`${backup}.tar.gz`);
  await packService(at('work'), file);
  rmSync(at('work'), { recursive: true });
  return file;
}

const restore = (file: string, more: Partial<RestoreServiceOptions> = {}) =>
  restoreService({
    file,
    config: configOf(),
    configFolder: at('config'),
    by: 'cli:test',
    agree: async () => false,
    askPassphrase: async () => {
      throw new Error('nobody is asked');
    },
    say: () => {},
    ...more,
  });

it('what links lead to is in the archive, and so are tokens and people in a folder of their own', async () => {
  put({
    'data/known_hosts': 'pins',
    'access/tokens.json': '{"tokens":1}',
    'real/env': `SSH_KEY_PATH=${at('real/key-link')}\n`,
    'real/key': 'a key',
    'real/people.json': '{"people":1}',
  });
  mkdirSync(at('config'));
  symlinkSync(at('real/env'), at('config/.env'));
  symlinkSync(at('real/key'), at('real/key-link'));
  symlinkSync(at('real/people.json'), at('access/people.json'));
  const file = await pack('access');
  rmSync(at('real'), { recursive: true });
  rmSync(at('config'), { recursive: true });
  put({ 'data/known_hosts': 'others', 'access/tokens.json': '{"tokens":2}', 'config/hosts.yaml': 'hosts: {}' });
  rmSync(at('access/people.json'));
  const asked: string[] = [];
  const done = await restore(file, {
    config: configOf('data', 'access'),
    agree: async (paths) => asked.push(...paths) > 0,
  });
  expect(read('data/known_hosts')).toBe('pins');
  expect(read('access/tokens.json')).toBe('{"tokens":1}');
  expect(read('access/people.json')).toBe('{"people":1}');
  expect(read('config/.env')).toContain('SSH_KEY_PATH');
  expect(asked).toEqual([at('real/key-link')]);
  expect(read('real/key-link')).toBe('a key');
  expect(readRestoredMark(at('access'))).toMatchObject({ backup });
  // Both are kept as they were.
  expect(done.asides).toHaveLength(2);
  expect(readFileSync(join(done.asides[0] as string, 'known_hosts'), 'utf8')).toBe('others');
  expect(readFileSync(join(done.asides[1] as string, 'tokens.json'), 'utf8')).toBe('{"tokens":2}');
});

it('a link that leads to nothing fails the backup', async () => {
  put({ 'data/known_hosts': 'pins' });
  mkdirSync(at('config'));
  symlinkSync(at('nowhere'), at('config/.env'));
  await expect(pack()).rejects.toMatchObject({ code: 'unreadable', message: expect.stringContaining('.env') });
});

it('files for anywhere are brought only when somebody wants them, or the configuration that is here names them', async () => {
  const [named, other] = [at('etc/named'), at('etc/other')];
  put({
    'data/known_hosts': 'pins',
    'config/.env': `SSH_KEY_PATH=${named}\nPBS_CA_FILE=${other}\n`,
    'etc/named': 'named',
    'etc/other': 'other',
  });
  const file = await pack();
  for (const path of [named, other]) rmSync(path);
  writeFileSync(at('config/.env'), `SSH_KEY_PATH=${named}\n`);
  const done = await restore(file);
  expect(done).toMatchObject({ brought: [named], kept: [at('config/.env')], left: [other] });
  expect(read('etc/named')).toBe('named');
  expect(existsSync(other)).toBe(false);
});

it.each(['before anything was moved', 'between the two renames', 'before what stays was moved', 'by a start'] as const)(
  'a power cut %s is finished by the next call, and nothing is started before',
  async (when) => {
    put({ 'data/tokens.json': '{"of":"then"}', 'config/hosts.yaml': 'hosts: {}' });
    await pack();
    put({ 'data/tokens.json': '{"of":"now"}', 'data/copies/pve1/one.age': 'copy' });
    mkdirSync(at('data/backups'));
    renameSync(at(`${backup}.tar.gz`), at('data/backups', `${backup}.tar.gz`));
    const file = at('data/backups', `${backup}.tar.gz`);
    // What was unpacked, as it is when the power goes.
    const config = configOf();
    put({ 'data.restoring/data/tokens.json': '{"of":"then"}', 'data.restoring/data/RESTORED': `backup: ${backup}\n` });
    const begun = await beginRestore(config, { backup, bring: [] });
    const aside = at('data.before-20261127T0800');
    if (when !== 'before anything was moved') {
      writeFileSync(at('data.restoring.json'), JSON.stringify({ ...begun, asides: [aside] }));
      renameSync(at('data'), aside);
    }
    if (when === 'before what stays was moved') renameSync(at('data.restoring/data'), at('data'));
    // Something has made an empty one meanwhile.
    if (when === 'by a start') put({ 'data/run/some': '' });
    expect(() => requireFinishedRestore(config)).toThrow(/was cut off/);
    expect(readRestoredMark(at('data'))).toBeDefined();
    const said: string[] = [];
    const done = await restore(file, { say: (line) => said.push(line) });
    expect(said).toEqual([`A restore from ${backup} was cut off, and is finished now.`]);
    expect(read('data/tokens.json')).toBe('{"of":"then"}');
    expect(read('data/copies/pve1/one.age')).toBe('copy');
    expect(existsSync(file)).toBe(true);
    expect(readRestoredMark(at('data'))).toMatchObject({ backup });
    expect(() => requireFinishedRestore(config)).not.toThrow();
    expect(done.asides).toHaveLength(1);
    expect(readFileSync(join(done.asides[0] as string, 'tokens.json'), 'utf8')).toBe('{"of":"now"}');
    expect(readdirSync(folder).filter((name) => name.startsWith('data.restoring'))).toEqual([]);
  },
);

it('finishing twice is finishing once', async () => {
  put({ 'data/tokens.json': '{"of":"now"}', 'data.restoring/data/tokens.json': '{"of":"then"}' });
  const config = configOf();
  const begun = await beginRestore(config, { backup, bring: [] });
  const journal = read('data.restoring.json');
  await finishRestore(config, begun);
  writeFileSync(at('data.restoring.json'), journal);
  await finishRestore(config, begun);
  expect(read('data/tokens.json')).toBe('{"of":"then"}');
});
