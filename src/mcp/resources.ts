import { isServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import type { Runs } from '../runs/runs.ts';
import { runLine, runText } from './run-text.ts';
import type { Surface } from './surface.ts';

const prefix = 'proxmox-mcp://runs/';
const suffix = '/report';

/** How many of the newest runs are offered by name. */
const listed = 20;

/** The runs' reports, for clients that attach documents to a conversation. */
export function runReports(runs: Runs): Surface['resources'] {
  return {
    templates: [
      {
        uriTemplate: `${prefix}{+id}${suffix}`,
        name: 'run-report',
        title: "A run's report",
        description: 'What a run found or did, or how far it is, as text',
        mimeType: 'text/plain',
      },
    ],
    async list() {
      const { runs: newest } = await runs.list({ limit: listed });
      return newest.map((run) => ({
        uri: `${prefix}${run.id}${suffix}`,
        name: cleanLine(`${run.operation} ${run.target} ${run.startedAt}`, 200),
        title: runLine(run),
        description: 'The report of this run',
        mimeType: 'text/plain',
      }));
    },
    async read(uri) {
      if (!uri.startsWith(prefix) || !uri.endsWith(suffix)) return undefined;
      // Some clients encode the slashes of an id, others leave them.
      const id = uri.slice(prefix.length, -suffix.length).replaceAll(/%2f/gi, '/');
      const run = await runs.get(id).catch(absent);
      return run === undefined ? undefined : { mimeType: 'text/plain', text: runText(run) };
    },
  };
}

function absent(error: unknown): undefined {
  if (isServiceError(error, 'not-found')) return undefined;
  throw error;
}
