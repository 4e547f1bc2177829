import type { Command } from 'commander';
import { textTable } from '../reports/table.ts';
import type { VersionState, WorkerVersions } from '../runs/worker-versions.ts';
import type { CliContext } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import { withClient } from './temporal.ts';
import { note, print, printJson } from './terminal.ts';

interface Json {
  readonly json?: boolean;
}

/** `workers list|promote|move`: the builds of the workers, where WORKER_VERSIONING is on. */
export function workersCommands(program: Command, context: CliContext): void {
  const workers = program.command('workers').description('The builds of the workers, where WORKER_VERSIONING is on');

  workers
    .command('list', { isDefault: true })
    .summary('Show the builds, which of them is current, and who works on them')
    .description(
      'Show the builds that Temporal knows: which gets new runs, which are being drained, how many workflows are open on each, how many of them can end only there, and which processes take its work.',
    )
    .option('--json', 'Print it as JSON')
    .action(async ({ json }: Json) => {
      const { readWorkerVersions } = await import('../runs/worker-versions.ts');
      const found = await withClient(context, (client) => readWorkerVersions(client));
      if (json) return printJson(found ?? { versions: [] });
      print(found === undefined ? withoutVersions : describeVersions(found));
    });

  workers
    .command('promote [build]')
    .summary('Have new runs worked on by a build')
    .description(
      "Have new runs, and what moves on by itself (locks, the watch, the kill switch), worked on by a build: this program's own where none is named. Open runs end on the build that they are on; `workers move` moves them.",
    )
    .option('--anyway', 'Also where a worker of the old build serves a queue (a site) that none of the new build does')
    .option('--json', 'Print the builds as JSON')
    .action(async (named: string | undefined, { anyway = false, json }: Json & { anyway?: boolean }) => {
      const [{ promote, readWorkerVersions }, build] = await Promise.all([
        import('../runs/worker-versions.ts'),
        named ?? ownBuild(context),
      ]);
      const found = await withClient(context, async (client) => {
        await promote(client, build, { anyway });
        return readWorkerVersions(client);
      });
      if (json) return printJson(found);
      print(`New runs are worked on by build ${build} now.`);
      const left = found?.versions.filter(({ build: other, pinned }) => other !== build && pinned > 0) ?? [];
      for (const { build: old, pinned } of left) {
        print(
          `${runsOf(pinned)} on build ${old}: keep a worker of it until then, or: npx proxmox-mcp workers move --from ${old}`,
        );
      }
    });

  workers
    .command('move [runs...]')
    .summary("Move open runs to this program's build, where their history allows it")
    .description(
      "Move open runs of other builds to this program's own: each whose history this program's workflows replay without a difference. Those that they don't are named, with the reason, and end on their own build. Without names: all.",
    )
    .option('--from <build>', 'Only those of this build')
    .option('--dry-run', 'Only say what would be moved')
    .option('--json', 'Print it as JSON')
    .action(
      async (runs: readonly string[], { from, dryRun = false, json }: Json & { from?: string; dryRun?: boolean }) => {
        const [{ moveRuns }, build] = await Promise.all([import('../worker/move-runs.ts'), ownBuild(context)]);
        const moves = await withClient(context, (client) => moveRuns(client, { build, from, runs, dryRun, say: note }));
        const stay = moves.filter(({ why }) => why !== undefined);
        if (stay.length > 0) context.exitWith(exitCodes.failed);
        if (json) return printJson({ build, dryRun, runs: moves });
        const count = moves.length - stay.length;
        print(`${count === 1 ? '1 run' : `${count} runs`} ${dryRun ? 'could be moved' : 'moved'} to build ${build}.`);
        for (const { id, from: old, why } of stay) print(`${id} ends on build ${old}: ${why}`);
      },
    );
}

/** The build of this very program, as its worker names it. */
async function ownBuild(context: CliContext): Promise<string> {
  const { buildOf } = await import('../build-id.ts');
  return buildOf(await context.config());
}

const words: Readonly<Record<VersionState, string>> = {
  current: 'current',
  ramping: 'ramping',
  draining: 'draining',
  drained: 'drained',
  inactive: 'not in use',
};

const withoutVersions = 'No worker has worked under versioning yet (WORKER_VERSIONING in docs/configuration.md).';

function describeVersions({ current, versions, unversioned }: WorkerVersions): string {
  const rows = versions.map(({ build, state, open, pinned, processes }) => [
    build,
    words[state],
    String(open),
    String(pinned),
    processes.join(', ') || 'none',
  ]);
  const said = [
    ...(current === undefined ? ['No build is current: new runs go to workers without versioning.'] : []),
    ...(unversioned.length === 0 ? [] : [`Without versioning: ${unversioned.join(', ')}`]),
  ];
  return `${textTable(['BUILD', 'STATE', 'OPEN', 'END ON IT', 'PROCESSES'], rows)}${said.map((line) => `\n${line}`).join('')}`;
}

function runsOf(count: number): string {
  return count === 1 ? '1 run ends' : `${count} runs end`;
}
