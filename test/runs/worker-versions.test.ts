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
    versions: [
      version({ build: '1', open: 3, pinned: 2 }),
      // What moves on by itself needs nobody of its old build.
      version({ build: '2', open: 1 }),
      version({ build: '3', state: 'current', open: 5, pinned: 5, processes: ['1@worker'] }),
    ],
  });
  expect(stranded).toEqual([{ build: '1', runs: 2 }]);
  expect(stranded.map(strandedText)).toEqual([
    {
      summary: '2 runs wait for a worker of build 1 that is gone.',
      remedy: expect.stringContaining('npx proxmox-mcp workers move --from 1'),
    },
  ]);
});
