import { afterEach, expect, it, vi } from 'vitest';

const letters = [...'abcdefghijklmnopqrstuvwxyz'];

/** The module as it is under these variables. */
async function under(variables: Readonly<Record<string, string>>) {
  vi.resetModules();
  vi.stubEnv('TEST_EXHAUSTIVE', '');
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  return await import('./exhaustive.ts');
}

afterEach(() => void vi.unstubAllEnvs());

it('chooses so many cases, in their order, the same for the same seed', async () => {
  const chosen = (await under({ TEST_SEED: 'a' })).sample(letters, 5);
  expect(chosen).toHaveLength(5);
  expect(chosen).toEqual([...chosen].sort());
  expect((await under({ TEST_SEED: 'a' })).sample(letters, 5)).toEqual(chosen);
});

it('gets to every case with other seeds, and never twice to one', async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 60; seed += 1) {
    const chosen = (await under({ TEST_SEED: String(seed) })).sample(letters, 5);
    expect(new Set(chosen).size).toBe(5);
    for (const letter of chosen) seen.add(letter);
  }
  expect(seen.size).toBe(26);
});

it('leaves nothing out where everything is tested, or there is little', async () => {
  expect((await under({ TEST_EXHAUSTIVE: '1' })).sample(letters, 5)).toEqual(letters);
  expect((await under({ TEST_SEED: 'a' })).sample(['x', 'y'], 5)).toEqual(['x', 'y']);
});
