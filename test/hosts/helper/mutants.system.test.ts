import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { table } from '../../../src/hosts/commands/table.generated.ts';
import { defaultLayout } from '../../../src/hosts/helper/default-layout.ts';
import { generateChecker } from '../../../src/hosts/helper/generate-helper.ts';
import { generateSudoers } from '../../../src/hosts/helper/generate-sudoers.ts';
import { exhaustive, seedNumber } from '../../support/exhaustive.ts';
import { sampleCommands } from './sample.ts';
import { type PolicyHost, startPolicyHost } from './sandbox/policy-host.ts';
import { whyNoSandbox } from './sandbox/sandbox.ts';
import { legitimacy, legitimateVectors, mutate, random } from './vectors.ts';

const run = promisify(execFile);

const count = exhaustive ? 1_000_000 : 25_000;

// The sample has parameters of every kind, which the shipped table may lack.
const commands = [...sampleCommands, ...table];
const vectors = legitimateVectors(defaultLayout, commands);
const isLegitimate = legitimacy(defaultLayout, commands);
const folder = mkdtempSync(join(tmpdir(), 'pmx-mutants-'));

const its = it.skipIf(whyNoSandbox());

let host: PolicyHost;
beforeAll(async () => {
  if (whyNoSandbox()) return;
  host = await startPolicyHost(commands);
});
afterAll(async () => {
  await host?.sandbox.close();
  rmSync(folder, { recursive: true, force: true });
});

its(
  `accepts none of ${count} mutants that isn't a legitimate vector `,
  async () => {
    const next = random(seedNumber());
    const mutants = Array.from({ length: count }, () => {
      const mutant = mutate(vectors[next(vectors.length)] ?? [], vectors, next);
      // Nothing can be given to a program that holds a NUL.
      return mutant.map((argument) => argument.replaceAll('\0', ''));
    });
    const shares = Array.from({ length: 2 }, (_, share) => mutants.filter((_, index) => index % 2 === share));
    const accepted = (await Promise.all(shares.map(helperAccepts))).flat();

    // Some mutants are legitimate (another number): what is accepted must be exactly those, in both directions.
    const key = (vector: readonly string[]) => JSON.stringify(vector);
    const legitimate = mutants.filter(isLegitimate).map(key);
    expect(accepted.map(key).sort()).toEqual(legitimate.sort());

    // sudo sees the arguments joined, so it lets some through that only the helper can refuse: exactly those whose
    // joined form is legitimate.
    const bySudo = await sudoAccepts(mutants);
    const merged = bySudo.filter((vector) => !isLegitimate(vector));
    expect(merged.filter((vector) => !isLegitimate(vector.join(' ').split(' ')))).toEqual([]);

    // The model of sudo is a model: the real one must agree on what it accepts and on as many that it refuses.
    const some = [
      ...spread(merged, 60),
      ...spread(
        mutants.filter((vector) => !isLegitimate(vector)),
        240,
      ),
    ];
    const really = await Promise.all(some.map((vector) => host.sudo(...vector)));
    for (const [index, { code, stdout, stderr }] of really.entries()) {
      const said = { vector: some[index], code, stdout, stderr };
      const isRefused = code === 64 ? /^proxmox-mcp-helper: refused: / : /^sudo: a password is required|not allowed/;
      expect(said).toMatchObject({ stdout: '', stderr: expect.stringMatching(isRefused) });
    }
  },
  3_600_000,
);

its(
  'agrees with real sudo on every legitimate vector',
  async () => {
    const answers = await Promise.all(
      vectors.map((vector) => host.asUser(['/usr/bin/sudo', '-n', '-l', '--', host.layout.helper, ...vector])),
    );
    expect(vectors.filter((_, index) => answers[index]?.code !== 0)).toEqual([]);
    expect((await sudoAccepts(vectors)).length).toBe(vectors.length);
    expect((await helperAccepts(vectors)).length).toBe(vectors.length);
  },
  60_000,
);

/** Asks the helper's own checks, the same text, by the shell that the helper runs in: one subshell for each vector. */
async function helperAccepts(mutants: readonly string[][]): Promise<string[][]> {
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const script = [
    'set -fu; LC_ALL=C; export LC_ALL',
    generateChecker(defaultLayout, { commands }),
    't() { _number=$1; shift; ( decide "$@" ) 2>/dev/null && echo "$_number"; }',
    ...mutants.map((vector, index) => `t ${index} ${vector.map(quoted).join(' ')}`),
    'exit 0',
  ].join('\n');
  const path = join(folder, `check-${Math.random().toString(36).slice(2)}.sh`);
  writeFileSync(path, script);
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
  const { stdout } = await run('/bin/sh', [path], { env, maxBuffer: 1 << 28 });
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((number) => mutants[Number(number)] ?? []);
}

/** The policy's own regular expressions on the joined arguments, by the C library that sudo uses, too. */
async function sudoAccepts(mutants: readonly string[][]): Promise<string[][]> {
  const policy = generateSudoers(defaultLayout, { sudoVersion: '1.9.13', helperDigest: '0'.repeat(64), commands });
  const patterns = [...policy.matchAll(/ (\^.*\$)(?:, \\)?$/gm)].map(([, pattern]) => pattern ?? '');
  const lines = join(folder, 'joined');
  writeFileSync(join(folder, 'patterns'), `${patterns.join('\n')}\n`);
  // A mark for newlines: with them, grep would try each line of its own. None of the patterns admits the mark.
  const joined = mutants.map((vector) => vector.join(' ').replaceAll('\n', '\u0001'));
  writeFileSync(lines, `${joined.join('\n')}\n`);
  const args = ['-n', '-a', '-E', '-f', join(folder, 'patterns'), lines];
  const { stdout } = await run('grep', args, { env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' }, maxBuffer: 1 << 28 });
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => mutants[Number.parseInt(line, 10) - 1] ?? []);
}

function spread<T>(list: readonly T[], amount: number): T[] {
  return list.filter((_, index) => index % Math.max(1, Math.floor(list.length / amount)) === 0).slice(0, amount);
}
