import { ServiceError } from '../../errors.ts';

/** What a data file may hold. That of Proxmox VE 9.1 has some 14,000 lists and objects, at most 23 deep, from its first line on. */
const most = { depth: 100, containers: 250_000, before: 65_536 } as const;

/** How the file begins, by its version: `const apiSchema = [`, before that `var pveapi = [`. */
const assignment = /(?:^|[\n;])[ \t]{0,20}(?:const|let|var)[ \t]{1,20}(?:apiSchema|pveapi)\s{0,20}=\s{0,20}(?=\[)/;

/**
 * The tree of calls out of the API viewer's data file, which is JavaScript with code of the viewer after it. Nothing of it is
 * executed: the list that is assigned is cut out by counting brackets outside of strings, and read as JSON.
 *
 * @param host whose file it is, for messages
 * @throws ServiceError `unexpected-answer`
 */
export function readViewerData(text: string, host: string): readonly unknown[] {
  const found = assignment.exec(text.slice(0, most.before));
  if (found === null) throw garbage(host, 'it assigns no list to apiSchema or pveapi');
  const start = found.index + found[0].length;
  const list = text.slice(start, endOf(text, start, host));
  try {
    return JSON.parse(list) as unknown[];
  } catch {
    throw garbage(host, 'its list is not JSON');
  }
}

/** Where the list that begins at `start` has ended. */
function endOf(text: string, start: number, host: string): number {
  let depth = 0;
  let containers = 0;
  for (let at = start; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case quoteMark:
        at = afterString(text, at);
        break;
      case openBracket:
      case openBrace:
        depth += 1;
        containers += 1;
        if (depth > most.depth) throw garbage(host, `its list is more than ${most.depth} deep`);
        if (containers > most.containers) throw garbage(host, 'its list has too many parts');
        break;
      case closeBracket:
      case closeBrace:
        depth -= 1;
        if (depth === 0) return at + 1;
        break;
    }
  }
  throw garbage(host, 'its list has no end');
}

const [quoteMark, backslash, openBracket, openBrace, closeBracket, closeBrace] = ['"', '\\', '[', '{', ']', '}'].map(
  (character) => character.charCodeAt(0),
);

/** The closing mark of the string that begins at `at`; the end of the text where there is none. */
function afterString(text: string, at: number): number {
  for (let next = at + 1; next < text.length; next += 1) {
    const code = text.charCodeAt(next);
    if (code === backslash) next += 1;
    else if (code === quoteMark) return next;
  }
  return text.length;
}

function garbage(host: string, why: string): ServiceError {
  return new ServiceError({
    code: 'unexpected-answer',
    message: `The API viewer's data file of ${host} (/pve-docs/api-viewer/apidoc.js) can't be read: ${why}`,
    remedy:
      'Look whether the package pve-docs on that node is whole (apt-get install --reinstall pve-docs), and whether a proxy answers in its place.',
    details: { host },
  });
}
