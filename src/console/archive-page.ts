import type { Config } from '../config.ts';
import { explain, ServiceError } from '../errors.ts';
import { browseBackup } from '../operations/browse-backup.ts';
import type { Requester } from '../operations/run.ts';
import { cleanLine } from '../reports/clean.ts';
import { readableBytes } from '../reports/units.ts';
import type { Runs } from '../runs/runs.ts';
import { backupsPath } from './backups-page.ts';
import { readRun } from './read-run.ts';
import { limits, momentsAt } from './words.ts';

/** As many as the operation lists at once. */
const atOnce = 200;
/** Longest path of a folder. */
const longestFolder = 500;

/** The page at `/backups?host=…&backup=…`: a folder of an archive, by its sealed manifest; never content. */
export async function archiveView(
  runs: Pick<Runs, 'start' | 'wait'>,
  config: Config,
  query: URLSearchParams,
  by: Requester,
  now = Date.now(),
) {
  const host = config.hosts.find((one) => !one.isElsewhere && one.name === query.get('host')) ?? config.hosts[0];
  const name = host?.name ?? '';
  const timeZone = host?.timeZone ?? 'UTC';
  const backup = cleanLine(query.get('backup') ?? '', limits.word);
  const folder = cleanLine(query.get('folder') ?? '', longestFolder).replaceAll(/^\/+|\/+$/g, '');
  const after = Math.max(0, Math.floor(Number(query.get('after')) || 0));
  const moment = momentsAt(now);
  const at = (of: string, from = 0) =>
    backupsPath({ host: name, backup, ...(of !== '' && { folder: of }), ...(from > 0 && { after: String(from) }) });
  const parts = folder === '' ? [] : folder.split('/');
  const common = {
    host: name,
    backup,
    all: backupsPath({ host: name }),
    above: [
      { name: backup, page: at('') },
      ...parts.map((part, index) => ({ name: part, page: at(parts.slice(0, index + 1).join('/')) })),
    ],
  };
  try {
    const { total, entries } = await readRun(runs, browseBackup, { host: name, backup, folder, after }, by);
    return {
      ...common,
      total,
      from: entries.length === 0 ? 0 : after + 1,
      until: after + entries.length,
      ...(after > 0 && { before: at(folder, Math.max(0, after - atOnce)) }),
      ...(after + entries.length < total && entries.length > 0 && { next: at(folder, after + entries.length) }),
      entries: entries.map((one) => ({
        name: one.name,
        type: one.type,
        size: one.type === 'file' ? readableBytes(one.bytes) : '',
        mode: one.mode,
        owner: one.owner,
        target: one.target ?? '',
        ...(one.modified !== undefined && { when: moment(one.modified, timeZone) }),
        ...(one.type === 'folder' && { page: at(folder === '' ? one.name : `${folder}/${one.name}`) }),
      })),
    };
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return { ...common, total: 0, from: 0, until: 0, entries: [], problem: cleanLine(explain(error), limits.question) };
  }
}
