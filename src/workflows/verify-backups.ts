import { isCancellation, patched } from '@temporalio/workflow';
import type { HealthActivities } from '../activities/check-health/check-health.ts';
import type { CopyBackupsActivities } from '../activities/copy-backups/copy-backups.ts';
import type { VerifyBackupsActivities } from '../activities/verify-backups/verify-backups.ts';
import { type Finding, worst } from '../operations/finding.ts';
import type { Section } from '../operations/report.ts';
import { verifyBackups as definition } from '../operations/verify-backups.ts';
import { onHost } from './lib/activities.ts';
import { ofProof } from './lib/copies.ts';
import { failureOf } from './lib/failure.ts';
import { operationWorkflow } from './lib/operation-workflow.ts';
import { whileReading } from './lib/reading.ts';

/**
 * Whether a host's backups, and the copies of them off it, would bring it back. What can't be looked at is a line of the report, never a good one; and
 * what is wrong with one archive keeps no other from being read.
 */
export const verifyBackups = operationWorkflow(definition, async (run) => {
  const { host, all } = run.input;
  const ask = (summary: string) => onHost<VerifyBackupsActivities>(host, 'look', summary);
  const job = (summary: string) => onHost<VerifyBackupsActivities>(host, 'job', summary);
  const copies = (summary: string) => onHost<CopyBackupsActivities>(host, 'job', summary);
  const { findings, ways, hasProxmox, hasHelper } = await run.step('Host', (summary) =>
    onHost<HealthActivities>(host, 'reach', summary).reachHost({ host }),
  );
  const problems = findings.filter(({ verdict }) => verdict !== 'ok' && verdict !== 'skipped');
  const sections: Section[] = problems.length === 0 ? [] : [{ title: 'Host', findings: problems }];
  const [read, broken, compared]: [string[], string[], string[]] = [[], [], []];

  const noArchives = !ways.commands
    ? 'They are read only by commands on the host, which is reached by its API alone, or not at all'
    : hasHelper
      ? undefined
      : 'They are read by the helper, which is not there or not well';
  if (noArchives === undefined) await whileReading(host, ofHost);
  else {
    for (const step of ['Archives', 'Read', 'Spot check']) run.skip(step, noArchives);
    const remedy = `Run: npx proxmox-mcp host install ${host}`;
    sections.push({
      title: 'Archives',
      findings: [{ check: 'Archives', verdict: 'unknown', summary: `${noArchives}.`, remedy }],
    });
  }
  // Where the host is lost they are what is left, so they need no answer of it.
  if (patched('copies')) await ofCopies();
  if (hasProxmox && (ways.api || hasHelper)) await ofGuests();
  else run.skip('Guests', 'There is no Proxmox VE on this host, or no way to ask it');

  const told = sections.flatMap((one) => ('findings' in one ? one.findings : []));
  const bad = told.filter(({ verdict }) => verdict === 'failed').length;
  return {
    output: { read, broken, verdict: worst(told.map(({ verdict }) => verdict)) },
    summary: `${bad === 0 ? 'Nothing is wrong with' : `${bad} ${bad === 1 ? 'thing is' : 'things are'} wrong with`} the backups of ${host}; ${read.length} ${read.length === 1 ? 'archive was' : 'archives were'} read whole${compared.length === 0 ? '' : `, ${compared.length} ${compared.length === 1 ? 'copy' : 'copies'} off the host compared`}.`,
    sections,
  };

  async function ofHost(): Promise<void> {
    const listed = await tried('Archives', (summary) => ask(summary).judgeListOfArchives({ host, all }));
    if (listed === undefined) return skipRest();
    sections.push({ title: 'Archives', findings: [...listed.findings] });
    const whole: Finding[] = [];
    if (listed.read.length === 0) run.skip('Read', 'There is none to read');
    else
      await run.step(
        'Read',
        async () => {
          for (const backup of listed.read) {
            const findings = await orUnknown(backup, () => job(`Read ${backup}`).readWholeArchive({ host, backup }));
            whole.push(...findings);
            for (const { verdict } of findings) {
              if (verdict !== 'unknown') read.push(backup);
              if (verdict === 'failed') broken.push(backup);
            }
          }
        },
        () => `${read.length} archives`,
      );
    if (whole.length > 0) sections.push({ title: 'Read whole', findings: whole });
    const { compare } = listed;
    if (compare === undefined) {
      run.skip('Spot check', 'No archive has a manifest to compare with');
      const summary = 'No good archive has a manifest, so nothing could be compared with what it is of.';
      sections.push({
        title: 'Spot check',
        findings: [
          {
            check: 'Spot check',
            verdict: 'unknown',
            summary,
            remedy: `Make one: npx proxmox-mcp back-up --host ${host}`,
          },
        ],
      });
      return;
    }
    const spot = await tried('Spot check', (summary) => job(summary).compareWithSource({ host, ...compare }));
    if (spot !== undefined) sections.push({ title: 'Spot check', findings: [...spot] });
  }

  async function ofCopies(): Promise<void> {
    const archives = noArchives === undefined;
    const listed = await tried('Copies', async (summary) => {
      const found = await ask(summary).judgeListOfCopies({ host, all, archives });
      const judged: Finding[] = [];
      for (const backup of found.compare)
        judged.push(
          ...(await orUnknown(backup, async () => {
            const proof = await copies(`Compare the copy of ${backup}`).verifyCopy({ host, backup });
            compared.push(backup);
            if (!proof.whole) broken.push(backup);
            return ofProof(backup, proof);
          })),
        );
      for (const place of found.places)
        judged.push(
          ...(await orUnknown(`Copies in ${place}`, () => job(`Look into ${place}`).lookIntoPlace({ host, place }))),
        );
      return { ...found, judged };
    });
    if (listed === undefined) return;
    sections.push({ title: 'Copies', findings: [...listed.findings] });
    if (listed.judged.length > 0) sections.push({ title: 'Copies compared', findings: listed.judged });
  }

  async function ofGuests(): Promise<void> {
    const found = await tried('Guests', (summary) => ask(summary).verifyGuestBackups({ host, ways }));
    if (found !== undefined) sections.push({ title: 'Guests', findings: [...found] });
  }

  function skipRest(): void {
    for (const step of ['Read', 'Spot check']) run.skip(step, 'The archives could not be listed');
  }

  /** What can't be had is a line of the report. */
  async function tried<T>(step: string, act: (summary: string) => Promise<T>): Promise<T | undefined> {
    try {
      return await run.step(step, act);
    } catch (error) {
      if (isCancellation(error)) throw error;
      sections.push({ title: step, findings: [unknown(step, error)] });
      return undefined;
    }
  }

  async function orUnknown(
    check: string,
    look: () => Promise<Finding | readonly Finding[]>,
  ): Promise<readonly Finding[]> {
    try {
      return [await look()].flat();
    } catch (error) {
      if (isCancellation(error)) throw error;
      return [unknown(check, error)];
    }
  }
});

function unknown(check: string, error: unknown): Finding {
  const { message, remedy } = failureOf(error);
  return { check, verdict: 'unknown', summary: message, remedy };
}
