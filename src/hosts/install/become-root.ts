import { randomUUID } from 'node:crypto';
import { PassThrough, pipeline, Readable, Writable } from 'node:stream';
import { ServiceError } from '../../errors.ts';
import { createRedact, type Secret } from '../../secret.ts';
import type { Argv, CommandResult, Executor } from '../execution/executor.ts';
import { shellScript } from '../execution/script.ts';

/** The password that sudo asks an administrator for. Asked for at most once, and only where sudo wants it. */
export interface SudoPassword {
  readonly ask: () => Promise<Secret>;
  /** What `ask` answered; undefined before. */
  readonly known: () => Secret | undefined;
}

export function sudoPassword(ask: () => Promise<Secret>): SudoPassword {
  let known: Secret | undefined;
  return {
    known: () => known,
    async ask() {
      known ??= await ask();
      return known;
    },
  };
}

export type RunAsRoot = (
  argv: Argv,
  stdin?: string | Readable,
  timeoutMs?: number,
  signal?: AbortSignal,
) => Promise<CommandResult>;

interface Login {
  /** The host's name, for messages. */
  readonly name: string;
  readonly executor: Executor;
  readonly user: string;
  readonly isRoot: boolean;
  readonly password: SudoPassword | undefined;
}

const limits = { timeoutMs: 60_000, maxOutputBytes: 1024 * 1024 };

// sudo's own words decide, so they must be in English.
const sudo = ['/usr/bin/env', 'LC_ALL=C', '/usr/bin/sudo'] as const;

/**
 * How a login runs programs as root: as it is, by sudo unasked, or by sudo with a password. The password goes through the
 * command's standard input alone. Throws `forbidden` where sudo doesn't let it.
 */
export function becomeRoot(login: Login): RunAsRoot {
  const { executor, isRoot } = login;
  let way: Promise<Secret | 'unasked'> | undefined;
  return async (argv, stdin, timeoutMs = limits.timeoutMs, signal) => {
    const options = { ...limits, timeoutMs, ...(stdin !== undefined && { stdin }), ...(signal && { signal }) };
    if (isRoot) return executor.exec(argv, options);
    way ??= chooseWay(login);
    const secret = await way;
    if (secret === 'unasked') return executor.exec([...sudo, '-n', '-k', '--', ...argv], options);
    return withPassword(executor, secret, argv, { content: stdin ?? '', timeoutMs, signal });
  };
}

async function chooseWay({ name, executor, user, password }: Login): Promise<Secret | 'unasked'> {
  // sudo-rs counts an unasked try as a wrong password, so there is only one.
  if (password?.known() === undefined) {
    const unasked = await executor.exec([...sudo, '-n', '-k', '--', '/bin/sh', '-c', ':'], limits);
    if (unasked.exitCode === 0) return 'unasked';
    const said = unasked.stderr.trim().split('\n').at(-1)?.slice(0, 300) ?? '';
    if (unasked.exitCode === 127 || /sudo: (No such file|not found)/.test(said)) throw noSudo(name, user);
    const asks = /password is required|authentication is required|PAM error/.test(said);
    if (!asks || password === undefined) {
      throw forbidden(
        `sudo on ${name} does not let ${user} become root${asks ? ' without a password' : ''} (${said})`,
        asks
          ? 'Type the password (in a terminal), give --sudo-password-file, or log in as root (--as root).'
          : 'Log in as root (--as root), or as an administrator whom sudo lets become root.',
      );
    }
  }
  const secret = await password.ask();
  await proveWithoutCounting(name, executor, user, secret);
  // Nothing follows the password here, so that sudo, which asks up to three times, is given no second one.
  const word = randomUUID();
  const proof = await executor.exec([...sudo, '-k', '-S', '-p', '', '--', '/bin/echo', word], {
    ...limits,
    stdin: `${secret.reveal()}\n`,
  });
  if (proof.exitCode === 0 && proof.stdout.includes(word)) return secret;
  throw forbidden(
    `sudo on ${name} did not accept this password from ${user}, or does not let ${user} become root`,
    `Check on the host, as ${user}: sudo -k; sudo id. Or log in as root (--as root).`,
  );
}

/**
 * Tries the password where a wrong one counts for nothing: each time that sudo asks again counts with pam_faillock, and
 * three lock the account. PAM's own helper lets everyone check their own password (pam_unix(8)); it answers 7 for a wrong
 * one, and something else where the account isn't of this host: then only sudo can tell.
 */
async function proveWithoutCounting(name: string, executor: Executor, user: string, secret: Secret): Promise<void> {
  const own = await executor.exec(['/usr/sbin/unix_chkpwd', user, 'nonull'], {
    ...limits,
    stdin: `${secret.reveal()}\0`,
  });
  if (own.exitCode !== 7) return;
  throw forbidden(
    `This is not the password of ${user} on ${name}; sudo was not asked, so it does not count as a failed login`,
    'Try again. Where sudo takes another password than that of the account on the host (targetpw, rootpw, Kerberos), log in as root (--as root).',
  );
}

/** Says a line, skips the input up to it (the password, had sudo not asked), and becomes a program. */
const skipInput = shellScript(new URL('./skip-input.sh', import.meta.url));

/** The program's input is held back until sudo has let it begin: sudo-rs reads ahead, and sudo would try it as passwords. */
async function withPassword(
  executor: Executor,
  secret: Secret,
  argv: Argv,
  {
    content,
    timeoutMs,
    signal,
  }: { readonly content: string | Readable; readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<CommandResult> {
  const begin = `proxmox-mcp-${randomUUID()}`;
  const stdin = new PassThrough();
  stdin.write(`${secret.reveal()}\n`);
  const chunks: Buffer[] = [];
  const text = () => Buffer.concat(chunks).toString('utf8');
  let begun = false;
  const stdoutTo = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      if (!begun && text().startsWith(`${begin}\n`)) {
        begun = true;
        if (content instanceof Readable) {
          stdin.write(`${begin}\n`);
          pipeline(content, stdin, () => undefined);
        } else stdin.end(`${begin}\n${content}`);
      }
      done();
    },
  });
  const line: Argv = [...sudo, '-k', '-S', '-p', '', '--', ...skipInput(begin, ...argv)];
  const result = await executor.exec(line, { ...limits, timeoutMs, stdin, stdoutTo, ...(signal && { signal }) });
  const redact = createRedact([secret]);
  return { ...result, stdout: text().slice(begin.length + 1), stderr: redact(result.stderr) };
}

function noSudo(name: string, user: string): ServiceError {
  return forbidden(
    `There is no sudo on ${name}, so ${user} can't become root`,
    'Log in as root (--as root), who installs it; Proxmox VE comes without it.',
  );
}

function forbidden(message: string, remedy: string): ServiceError {
  return new ServiceError({ code: 'forbidden', message, remedy });
}
