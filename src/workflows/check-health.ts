import { isCancellation, patched, proxyActivities } from '@temporalio/workflow';
import type { HealthActivities } from '../activities/check-health/check-health.ts';
import type { Reached } from '../activities/check-health/reach.ts';
import type { LedgerActivities } from '../activities/ledger/ledger.ts';
import type { NotifyActivities } from '../activities/notify/notify.ts';
import { checkHealth as definition } from '../operations/check-health.ts';
import { type Finding, type Verdict, worst } from '../operations/finding.ts';
import { countVerdicts, type FindingsSection, type Section, verdictsOf } from '../operations/report.ts';
import { causeOf } from '../reports/subject.ts';
import { type Placed, problemsOf } from '../reports/view.ts';
import { onHost, onService } from './lib/activities.ts';
import { failureOf, isAboutTheWay } from './lib/failure.ts';
import { ledgerQueue } from './lib/messages.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import { policies } from './lib/policies.ts';
import type { Run } from './lib/run.ts';

/** Asking several times more would say the same: the host is away, isn't configured, or its key can't be read here. */
function isUnreachable(code: string): boolean {
  return isAboutTheWay(code) || code === 'not-found' || code === 'unreadable';
}

/**
 * The morning health check. A section that can't be looked at is a line of the report, never a failed run: the report of
 * a dead host is the one that matters most.
 */
export const checkHealth = operationWorkflow(definition, async (run) => {
  const { host, mail } = run.input;
  // Runs that began to look before Proxmox VE itself was looked at go on as they began.
  const sections: Section[] = patched('any-host') ? await lookAtHost(run, host) : await lookAtInstallation(run, host);

  // In the mail, because that is a place where nobody changes it any more.
  if (mail && patched('ledger-head')) sections.push(await ledgerSection());

  let summary = summarize(host, sections);
  let mailed = false;
  if (mail) {
    const sent = await run.step('Report', (text) => mailReport(text, run.report(sections, summary)));
    mailed = sent.mailed;
    if (sent.finding.verdict === 'failed') summary += ' This report could not be mailed.';
    sections.push({ title: 'Report', findings: [sent.finding] });
  } else run.skip('Report', 'Not asked to mail it');

  const output = { verdict: worst(verdictsOf(sections)), counts: countVerdicts(sections), mailed };
  return { output, summary, sections };
});

/** The newest record of the ledger, as an anchor: `proxmox-mcp ledger verify --anchors` takes it. */
async function ledgerSection(): Promise<Section> {
  const asked = { ...policies.ledgerAtOnce, taskQueue: ledgerQueue, summary: "Ask for the ledger's head" };
  const check = 'Ledger';
  try {
    const { head } = await proxyActivities<LedgerActivities>(asked).answerLedger({ ask: 'head' });
    const summary = head === undefined ? 'It is empty.' : `Its newest record is ${head.seq} ${head.hash}`;
    return { title: check, findings: [{ check, verdict: 'ok', summary }], unfolded: true };
  } catch (error) {
    if (isCancellation(error)) throw error;
    const remedy = 'Look at the log of the worker, which says whether it has the ledger open.';
    return { title: check, findings: [{ check, verdict: 'unknown', summary: failureOf(error).message, remedy }] };
  }
}

type Look = readonly [title: string, act: (summary: string) => Promise<FindingsSection>];

/** First whether the host is there, then all at once what it has. What it doesn't have is one line. */
async function lookAtHost(run: Run<unknown>, host: string): Promise<Section[]> {
  const { findings, ways, hasProxmox, hasHelper, isInstalled } = await reach(run, host);
  const answer: FindingsSection = { title: 'Host', findings: [...findings] };
  const look = (summary: string) => onHost<HealthActivities>(host, 'look', summary);
  if (!ways.commands && !ways.api) {
    for (const title of definition.steps.slice(2, -2)) run.skip(title, 'The host does not answer');
    const known = await Promise.all([
      inspectSection(run, 'Backups', (text) => look(text).inspectLastKnown({ host })),
      inspectSection(run, 'Automation', (text) => look(text).inspectAutomation({ host })),
    ]);
    return [answer, ...known.map(({ section }) => section)];
  }
  const hasReader = hasProxmox && (ways.api || hasHelper);
  const asked = { host, ways, hasProxmox: hasReader, hasHelper };
  const skipped: FindingsSection[] = [];
  /** Looks only where there is something to look at; else says so in one line for all of them. */
  const where = (isThere: boolean, title: string, why: string, looks: readonly Look[]): readonly Look[] => {
    if (isThere) return looks;
    for (const [step] of looks) run.skip(step, why);
    skipped.push({ title, findings: [{ check: title, verdict: 'skipped', summary: why }] });
    return [];
  };
  const looks: readonly Look[] = [
    ['Backups', (text) => look(text).inspectBackups(asked)],
    ...where(
      hasReader,
      'Proxmox VE',
      hasProxmox ? 'It is asked through the helper, which is not well.' : 'There is no Proxmox VE on this host.',
      [
        ['Proxmox VE', (text) => look(text).inspectProxmox(asked)],
        ['Storage', (text) => look(text).inspectStorages(asked)],
        ['Guests', (text) => look(text).inspectGuests(asked)],
      ],
    ),
    ['System', (text) => look(text).inspectResources(asked)],
    ...(ways.commands
      ? [
          ...where(isInstalled, 'Installation', 'There is no installation of Proxmox MCP on this host.', [
            ['Service', (text) => look(text).inspectService({ host })],
            ['Containers', (text) => look(text).inspectContainers({ host })],
            ['Health endpoints', (text) => look(text).probeEndpoints({ host })],
          ]),
          ...where(hasHelper, 'Security', 'It is looked at through the helper, which is not well.', [
            ['Security', (text) => look(text).inspectSecurity({ host, isInstalled })],
            ['Recent issues', (text) => look(text).inspectRecentIssues({ host })],
          ]),
        ]
      : where(
          false,
          'Commands',
          'The host’s own backups, its installation, its security and recent issues are looked at only by commands on it.',
          [
            ['Service', (text) => look(text).inspectService({ host })],
            ['Containers', (text) => look(text).inspectContainers({ host })],
            ['Health endpoints', (text) => look(text).probeEndpoints({ host })],
            ['Security', (text) => look(text).inspectSecurity({ host })],
            ['Recent issues', (text) => look(text).inspectRecentIssues({ host })],
          ],
        )),
    ['Automation', (text) => look(text).inspectAutomation(asked)],
  ];
  const found = await Promise.all(looks.map(([title, act]) => inspectSection(run, title, act)));
  const sections = [...found.filter(({ unreachable }) => !unreachable).map(({ section }) => section), ...skipped];
  const lost = found.find(({ unreachable }) => unreachable)?.section.findings[0];
  if (lost !== undefined) {
    // One line for the host, not one for each thing that was not looked at.
    const summary = `${host} stopped answering while it was looked at.`;
    answer.findings.push({ check: 'Answer', verdict: 'failed', summary, evidence: lost.summary });
  }
  const isWell = answer.findings.every(({ verdict }) => verdict === 'ok');
  const [backups, ...rest] = sections;
  // The report begins with the backups, unless something is wrong with the way to the host.
  return isWell && backups?.title === 'Backups' ? [backups, answer, ...inOrder(rest)] : [answer, ...inOrder(sections)];
}

/** As the steps are; what was skipped stands where it would be. */
function inOrder(sections: readonly Section[]): Section[] {
  const place = ({ title }: Section) => {
    const at = definition.steps.indexOf(title as (typeof definition.steps)[number]);
    return at < 0 ? definition.steps.indexOf('Service') : at;
  };
  return [...sections].sort((a, b) => place(a) - place(b));
}

/** What can't even be asked is an answer too: the host isn't configured any more, or a worker died twice. */
async function reach(run: Run<unknown>, host: string): Promise<Reached> {
  const ask = (text: string) => onHost<HealthActivities>(host, 'reach', text).reachHost({ host });
  try {
    return await run.step('Host', ask, ({ findings }) => worst(findings.map(({ verdict }) => verdict)));
  } catch (error) {
    if (isCancellation(error)) throw error;
    const { message, remedy } = failureOf(error);
    const finding: Finding = {
      check: 'Answer',
      verdict: 'failed',
      summary: `${host} can't be asked: ${message}`,
      remedy,
    };
    const none = { ways: { commands: false, api: false }, hasProxmox: false, hasHelper: false, isInstalled: false };
    return { findings: [finding], ...none };
  }
}

/** As runs of earlier versions look: at the installation alone. */
async function lookAtInstallation(run: Run<unknown>, host: string): Promise<Section[]> {
  const look = (summary: string) => onHost<HealthActivities>(host, 'look', summary);
  const inspect = (title: string, act: (summary: string) => Promise<FindingsSection>) =>
    inspectSection(run, title, act);
  const service = await inspect('Service', (summary) => look(summary).inspectService({ host }));
  const rest: Look[] = [
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
  return sections;
}

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

/** How many causes the one sentence names. */
const namedCauses = 3;

/** What is wrong, by its causes: of the worst ones each once, as in the mail's subject. */
function summarize(host: string, sections: readonly Section[]): string {
  const problems = problemsOf({ sections: [...sections] });
  const bad = problems.filter(({ finding }) => finding.verdict === 'failed');
  if (bad.length > 0) {
    const causes = causesOf(bad);
    return `${causes.startsWith(`${host} `) ? '' : `${host}: `}${causes}.`;
  }
  return problems.length > 0 ? `${host} works; look at: ${causesOf(problems)}.` : `${host} is healthy.`;
}

function causesOf(problems: readonly Placed[]): string {
  const causes = [...new Set(problems.map(causeOf))];
  const more = causes.length - namedCauses;
  return `${causes.slice(0, namedCauses).join('; ')}${more > 0 ? ` and ${more} more` : ''}`;
}
