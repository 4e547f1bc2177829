import type { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { cleanLine } from '../../reports/clean.ts';
import type { CommandResult } from '../execution/executor.ts';
import type { Asked, Command } from './command.ts';

/** The last line that a command said on standard error (else on standard output), fit to be shown. */
export function lastWords(result: Pick<CommandResult, 'stdout' | 'stderr'>): string {
  const lines = (text: string) => text.split('\n').filter((line) => line.trim() !== '');
  return cleanLine(lines(result.stderr).at(-1) ?? lines(result.stdout).at(-1) ?? '', 300);
}

/** Whether the program of a vector isn't installed: what shells and `timeout` answer. */
export function isMissing(result: CommandResult): boolean {
  return result.exitCode === 127;
}

/** What it means that a command ended with another exit code than 0. */
export function commandFailed(command: Command, asked: Asked, result: CommandResult): ServiceError {
  const { name: host, layout } = asked.host;
  const { exitCode, stderr } = result;
  const words = lastWords(result);
  const said = words === '' ? `exit code ${exitCode}` : `${words} (exit code ${exitCode})`;
  const doing = typeof command.doing === 'string' ? command.doing : command.doing(asked.args);
  const details = { host, exitCode };
  // coreutils that flush late have lost the reason and only say "write error".
  if (/No space left on device|Disk quota exceeded|: write error$/im.test(stderr)) {
    const folder = command.fills && layout[command.fills];
    return new ServiceError({
      code: 'disk-full',
      message: `${doing} on ${host} failed because ${folder ? `the disk of ${folder}` : 'a disk'} is full`,
      remedy: `Free space there${folder ? ' or move the backups (BACKUP_DIR)' : ''}, then start it again; what was half written is removed.`,
      details: { ...details, ...(folder && { folder }) },
    });
  }
  if (/Permission denied|Operation not permitted|Read-only file system/i.test(stderr)) {
    return new ServiceError({
      code: 'unreadable',
      message: `${doing} on ${host} failed because a file or folder can't be read or written: ${said}`,
      remedy: "Give the service's user (or, with the helper, root) access to it, then start it again.",
      details,
    });
  }
  const meaning = command.exits?.[exitCode];
  return new ServiceError({
    code: meaning?.code ?? 'command-failed',
    message: meaning?.message?.(asked) ?? `${doing} on ${host} failed: ${said}`,
    remedy: meaning?.remedy ?? 'Look at the cause named above on the host, then start it again.',
    details,
  });
}

/** What a command said isn't what it says when it works. */
export function unexpectedAnswer(command: Command, host: string, result: CommandResult, why: z.ZodError): ServiceError {
  const [issue] = why.issues;
  const where = [...(issue?.path ?? []).map(String), issue?.message ?? ''].join(': ');
  const said = cleanLine(result.stdout.trim() === '' ? result.stderr : result.stdout, 200) || 'nothing';
  return new ServiceError({
    code: 'unexpected-answer',
    message: `${command.name} on ${host} answered what isn't understood (${cleanLine(where, 200)}): ${said}`,
    remedy: `If the helper there is of another version, run: npx proxmox-mcp host install ${host}. Else look at what the host says, and report it if the host is in order.`,
    details: { host, exitCode: result.exitCode },
  });
}
