import { expect, it } from 'vitest';
import { strandedIn, strandedText, type WorkerVersion } from '../../src/runs/worker-versions.ts';

const version = (given: Partial<WorkerVersion>): WorkerVersion => ({
  build: '1',
  state: 'draining',
  open: 0,
  pinned: 0,
  processes: [],
  ...given,
});

it('names the builds that have runs and no worker, and what to do', () => {
  const stranded = strandedIn({
    current: '3',
    unversioned: [],
    versions: [
      version({ build: '1', open: 3, pinned: 2 }),
      // What moves on by itself needs nobody of its old build.
      version({ build: '2', open: 1 }),
      version({ build: '3', state: 'current', open: 5, pinned: 5, processes: ['1@worker'] }),
    ],
  });
  expect(stranded).toEqual([{ build: '1', runs: 2, isCurrent: false }]);
  expect(stranded.map(strandedText)).toEqual([
    {
      summary: '2 runs wait for a worker of build 1 that is gone.',
      remedy: expect.stringContaining('npx proxmox-mcp workers move --from 1'),
    },
  ]);
});

it('a current build without a worker is named where there are others, and not where there is none at all', () => {
  const versions = [
    version({ build: '4', processes: ['2@worker'] }),
    version({ build: '5', state: 'current', pinned: 1 }),
  ];
  expect(strandedIn({ current: '5', versions, unversioned: [] })).toEqual([{ build: '5', runs: 1, isCurrent: true }]);
  const [, only] = versions;
  if (only === undefined) throw new Error('there are two');
  const alone = [{ ...only, pinned: 0 }];
  expect(strandedIn({ current: '5', versions: alone, unversioned: [] })).toEqual([]);
  const [beside] = strandedIn({ current: '5', versions: alone, unversioned: ['3@worker'] });
  expect(beside && strandedText(beside).summary).toBe(
    'New runs wait for a worker of build 5, which is current and gone.',
  );
});
