import { readFileSync } from 'node:fs';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';

const everyMs = 1_000;
/** Where each look starts a program (`ps`). */
const everyMsElsewhere = 10_000;

/**
 * Under npm (`npm start`, `npx proxmox-mcp start`): calls `gone` when npm, or the shell that it starts programs with, is
 * gone. They are what a person or a program sees and ends; without them nobody would know that the service still runs.
 * Without npm nothing is watched: a shell may end long before what it has started.
 */
export function watchParents(gone: () => void): { readonly dispose: () => void } {
  const watched = process.env.npm_lifecycle_event === undefined ? [] : parents();
  if (watched.length === 0) return { dispose: () => {} };
  const timer = setInterval(
    () => {
      if (watched.every(isAlive)) return;
      clearInterval(timer);
      gone();
    },
    process.platform === 'linux' ? everyMs : everyMsElsewhere,
  ).unref();
  return { dispose: () => clearInterval(timer) };
}

/** This process's parent, and where that is a shell, whose it is. The first process of a machine adopts and never goes. */
function parents(): readonly ProcessIdentity[] {
  const parent = identify(process.ppid);
  if (parent === undefined || parent.pid === 1) return [];
  const [name, above] = describe(parent.pid);
  const grandparent = /^(sh|dash|bash|ash|zsh|ksh|busybox)$/.test(name) && above > 1 ? identify(above) : undefined;
  return grandparent ? [parent, grandparent] : [parent];
}

/** The name of a process and its parent's number; nothing where there is no /proc. */
function describe(pid: number): readonly [name: string, parent: number] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const end = stat.lastIndexOf(')');
    return [stat.slice(stat.indexOf('(') + 1, end), Number(stat.slice(end + 2).split(' ')[1])];
  } catch {
    return ['', 0];
  }
}
