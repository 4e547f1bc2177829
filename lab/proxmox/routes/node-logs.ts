import { gzipSync } from 'node:zlib';
import type { Call, Route } from '../router.ts';
import type { JournalLine } from '../state/nodes.ts';
import { siteFor } from './nodes.ts';

/** What the programs of a node have written. */
export const nodeLogRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/nodes/{node}/journal',
    handle: (call) => {
      const data = journal(call);
      // Packed also for who didn't ask for it: the node sends what its reader of the journal gives.
      const body = gzipSync(JSON.stringify({ data, success: 1 }));
      const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
      return { data: null, file: { headers, body } };
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/syslog',
    handle: (call) => {
      const { start = 0, limit = 50, service, since, until } = call.parameters;
      const from = since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(`${since}Z`.replace(' ', 'T')) / 1000;
      const to = until === undefined ? Number.POSITIVE_INFINITY : Date.parse(`${until}Z`.replace(' ', 'T')) / 1000;
      const lines = siteFor(call)
        .journal.filter(({ time }) => !(time < from) && !(time > to))
        .filter(({ unit }) => service === undefined || unit.replace(/\[\d+\]$/, '') === service)
        .map((line, index) => ({ n: index + 1, t: textOf(call, line) }));
      return { total: lines.length, data: lines.slice(Number(start), Number(start) + Number(limit)) };
    },
  },
];

/** The lines between two cursors: where the first and the last one are in the journal. */
function journal(call: Call): string[] {
  const { since, until, lastentries, startcursor, endcursor } = call.parameters;
  const all = siteFor(call).journal.map((line, index) => ({ line, cursor: `s=simulated;i=${index.toString(16)}` }));
  const at = (cursor: string | number | undefined) => all.findIndex((one) => one.cursor === cursor);
  let found = all
    .filter(({ line }) => since === undefined || line.time >= Number(since))
    .filter(({ line }) => until === undefined || line.time <= Number(until));
  if (startcursor !== undefined) found = all.slice(Math.max(0, at(startcursor)));
  if (endcursor !== undefined) found = all.slice(0, at(endcursor) + 1);
  if (lastentries !== undefined) found = found.slice(-Number(lastentries));
  const first = found[0]?.cursor ?? 's=simulated;i=0';
  const last = found.at(-1)?.cursor ?? first;
  return [first, ...found.map(({ line }) => textOf(call, line)), last];
}

function textOf({ parameters }: Call, { time, unit, text }: JournalLine): string {
  const [, month, day, clock] = /^\w+, (\d+) (\w+) \d+ (\S+)/.exec(new Date(time * 1000).toUTCString()) ?? [];
  return `${day} ${String(month).padStart(2, '0')} ${clock} ${parameters.node} ${unit}: ${text}`;
}
