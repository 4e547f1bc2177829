import { vi } from 'vitest';
import { createPeople, peopleFile } from '../../src/people/store.ts';
import type { TestService } from './service.ts';

const approver = 'anna';

/** An administrator who may approve; before the worker is started, which reads who there is. */
export async function addApprover({ config }: TestService): Promise<void> {
  const cost = { memoryCost: 64, timeCost: 1, parallelism: 1 };
  const people = createPeople(peopleFile(config.dataDir), { cost });
  await people.add({ name: approver, role: 'administrator', password: 'violet tractor umbrella', first: true });
}

/** Approves the plan that the run asks about, as an operation does that no policy lets through. */
export async function approve({ runs }: TestService, id: string): Promise<void> {
  const question = await vi.waitFor(
    async () => (await runs.get(id)).progress?.question ?? Promise.reject(new Error(`${id} asks nothing`)),
    { timeout: 60_000, interval: 200 },
  );
  const answer = { choice: 'approve', question: question.id, digest: question.approval?.digest ?? '' };
  await runs.decide(id, answer, { kind: 'person', name: approver });
}
