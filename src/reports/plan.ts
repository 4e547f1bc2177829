import type { Plan, PlanDraft } from '../operations/plan.ts';
import { makeReport, type Report, type Section } from '../operations/report.ts';
import { readableDuration } from './units.ts';

/** A plan as a report of its own, for who is to decide about it. */
export function planReport(
  { operation, target, at }: { readonly operation: string; readonly target: string; readonly at: string },
  plan: Plan,
): Report {
  return makeReport({
    title: `Plan of ${operation}`,
    target,
    summary: `It is to ${plan.summary}.`,
    startedAt: at,
    finishedAt: at,
    sections: [
      ...planSections(plan),
      {
        title: 'Digest',
        columns: ['OF', 'IS'],
        rows: [
          ['what it does', plan.digest],
          ['what it rests on', plan.fingerprint],
        ],
      },
    ],
  });
}

/** A plan for people: what it does, what it rests on, who feels it, what can go wrong and how it is taken back. */
export function planSections(plan: Plan): readonly Section[] {
  const lines = (check: string, texts: readonly string[], none: string) =>
    (texts.length === 0 ? [none] : texts).map((summary) => ({ check, verdict: 'ok', summary }) as const);
  return [
    {
      title: 'Plan',
      findings: [
        ...plan.risks.map((summary) => ({ check: 'Can go wrong', verdict: 'warning', summary }) as const),
        ...lines('Affected', plan.affected, 'Nobody: nothing stops and nothing goes'),
        ...lines('Undo', plan.undo, 'It can not be taken back'),
        { check: 'Takes', verdict: 'ok', summary: usually(plan) },
      ],
    },
    {
      title: 'Steps',
      columns: ['STEP', 'DOES'],
      rows: plan.steps.flatMap(({ title, does }) =>
        does.length === 0 ? [[title, '–']] : does.map((call, at) => [at === 0 ? title : '', call]),
      ),
    },
    { title: 'It rests on', columns: ['WHAT', 'IS'], rows: plan.state.map(({ name, value }) => [name, value]) },
  ];
}

/** How long it took lately, in words. */
export function usually({ usualSeconds }: Pick<Plan, 'usualSeconds'>): string {
  if (usualSeconds === undefined) return 'Nobody knows: it has not run here yet';
  return `About ${readableDuration(usualSeconds * 1_000)}, as it did lately`;
}

/** What is otherwise in a later plan, one line for each: what an approval of the earlier one doesn't cover. */
export function planDifferences(before: PlanDraft, after: PlanDraft): readonly string[] {
  const states = new Map(before.state.map(({ name, value }) => [name, value]));
  const changed = after.state.flatMap(({ name, value }) => {
    const former = states.get(name);
    states.delete(name);
    return former === value ? [] : [`${name}: ${former === undefined ? 'new' : `was ${former}`}, is ${value}`];
  });
  const gone = [...states].map(([name, value]) => `${name}: was ${value}, is not there any more`);
  const [old, now] = [stepLines(before), stepLines(after)];
  return [
    ...changed,
    ...gone,
    ...now.filter((line) => !old.includes(line)).map((line) => `does now: ${line}`),
    ...old.filter((line) => !now.includes(line)).map((line) => `does no more: ${line}`),
  ];
}

function stepLines({ steps }: PlanDraft): readonly string[] {
  return steps.flatMap(({ title, does }) => (does.length === 0 ? [title] : does.map((call) => `${title}: ${call}`)));
}
