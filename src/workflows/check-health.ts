import { isCancellation, patched } from '@temporalio/workflow';
import type { HealthActivities } from '../activities/check-health/check-health.ts';
import type { NotifyActivities } from '../activities/notify/notify.ts';
import { checkHealth as definition } from '../operations/check-health.ts';
import { type Finding, type Verdict, worst } from '../operations/finding.ts';
import { countVerdicts, type FindingsSection, findingsOf, type Section, verdictsOf } from '../operations/report.ts';
import { onHost, onService } from './lib/activities.ts';
import { failureOf, isAboutTheWay } from './lib/failure.ts';
import { operationWorkflow, type Run } from './lib/operation-workflow.ts';

/** Asking several times more would say the same: the host is away, isn't configured, or its key can't be read here. */
function isUnreachable(code: string): boolean {
  return isAboutTheWay(code) || code === 'not-found' || code === 'unreadable';
}

/**
 * The guide's morning health check. A section that can't be looked at is a line of the report, never a failed run: the
 * report of a dead host is the one that matters most.
 */
export const checkHealth = operationWorkflow(definition, async (run) => {
  const { host, mail } = run.input;
  const look = (summary: string) => onHost<HealthActivities>(host, 'look', summary);
  const inspect = (title: string, act: (summary: string) => Promise<FindingsSection>) =>
    inspectSection(run, title, act);

  const service = await inspect('Service', (summary) => look(summary).inspectService({ host }));
  const rest: [title: string, act: (summary: string) => Promise<FindingsSection>][] = [
    ['Containers', (summary) => look(summary).inspectContainers({ host })],
    ['Health endpoints', (summary) => look(summary).probeEndpoints({ host })],
    ['Resources', (summary) => look(summary).inspectResources({ host })],
    ['Security', (summary) => look(summary).inspectSecurity({ host })],
    ['Recent issues', (summary) => look(summary).inspectRecentIssues({ host })],
  ];
  // Runs that looked before there was this section go on without it.
  if (patched('backups')) rest.push(['Backups', (summary) => look(summary).inspectBackups({ host })]);
  else run.skip('Backups', 'The run was begun by an earlier version');
  const sections: Section[] = [service.section];
  if (service.unreachable) for (const [title] of rest) run.skip(title, 'The host could not be asked');
  else {
    const inspected = await Promise.all(rest.map(([title, act]) => inspect(title, act)));
    sections.push(...inspected.map(({ section }) => section));
  }

  const summary = summarize(host, sections);
  let mailed = false;
  if (mail) {
    const sent = await run.step('Report', (text) => mailReport(text, run.report(sections, summary)));
    mailed = sent.mailed;
    sections.push({ title: 'Report', findings: [sent.finding] });
  } else run.skip('Report', 'Not asked to mail it');

  const output = { verdict: worst(verdictsOf(sections)), counts: countVerdicts(sections), mailed };
  return { output, summary, sections };
});

async function inspectSection(
  run: Run<unknown>,
  title: string,
  act: (summary: string) => Promise<FindingsSection>,
): Promise<{ readonly section: FindingsSection; readonly unreachable: boolean }> {
  try {
    const section = await run.step(title, act, (found) => worst(verdictsOf([found])));
    return { section, unreachable: false };
  } catch (error) {
    if (isCancellation(error)) throw error;
    const { code, message } = failureOf(error);
    const verdict: Verdict = isUnreachable(code) ? 'failed' : 'unknown';
    return {
      section: { title, findings: [{ check: title, verdict, summary: message }] },
      unreachable: isUnreachable(code),
    };
  }
}

async function mailReport(
  text: string,
  report: Parameters<NotifyActivities['mailReport']>[0]['report'],
): Promise<{ readonly mailed: boolean; readonly finding: Finding }> {
  try {
    return await onService<NotifyActivities>(text).mailReport({ report });
  } catch (error) {
    if (isCancellation(error)) throw error;
    return { mailed: false, finding: { check: 'Mail', verdict: 'failed', summary: failureOf(error).message } };
  }
}

function summarize(host: string, sections: readonly Section[]): string {
  const findings = findingsOf(sections);
  const bad = findings.filter((finding) => finding.verdict === 'failed');
  const open = findings.filter((finding) => finding.verdict === 'warning' || finding.verdict === 'unknown');
  if (bad.length > 0) return `${host} needs attention now: ${bad.map((finding) => finding.check).join(', ')}.`;
  if (open.length > 0) return `${host} works; look at: ${open.map((finding) => finding.check).join(', ')}.`;
  return `${host} is healthy.`;
}
