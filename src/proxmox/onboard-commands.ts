import type { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { cleanLine } from '../reports/clean.ts';
import { Secret } from '../secret.ts';
import { canonicalFingerprint } from './certificate.ts';
import { type AccessSeen, type AccessStep, type AccessWay, apiUser } from './onboard.ts';
import { accessLists } from './onboard-lists.ts';

// The access by Proxmox's own command line, as root of the host. Who calls brings the administrator's way to root.

type Argv = readonly [string, ...string[]];

/** Runs a program of the host as root; its exit code is an answer, whatever it is. */
export type RunAsRoot = (
  argv: Argv,
) => Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>;

/** On the host, whatever its cluster's certificates: pveproxy takes the first where it is there with its key. */
const certificates = ['/etc/pve/local/pveproxy-ssl.pem', '/etc/pve/local/pve-ssl.pem'] as const;

export function accessByCommands(host: string, run: RunAsRoot): AccessWay {
  /** What it printed; throws with its last words, never with what it printed, where it failed. */
  async function must(argv: Argv): Promise<string> {
    const { exitCode, stdout, stderr } = await run(argv);
    if (exitCode === 0) return stdout;
    const why = firstWords(stderr) || `exit code ${exitCode}`;
    throw failed(
      `${argv.slice(0, 4).join(' ')} failed (${why})`,
      /no quorum/.test(stderr)
        ? 'Wait until the cluster has quorum (pvecm status), then run it again.'
        : 'Correct that on the host, then run it again.',
    );
  }

  async function json<T>(schema: z.ZodType<T>, argv: Argv): Promise<T> {
    const text = await must([...argv, '--output-format', 'json']);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined;
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    // What it printed may hold a secret.
    throw failed(`${argv.slice(0, 4).join(' ')} printed something else than was expected`, 'Report this as a defect.');
  }

  async function fingerprint(): Promise<string> {
    let said = '';
    for (const file of certificates) {
      const { exitCode, stdout, stderr } = await run([
        'openssl',
        ...['x509', '-noout', '-fingerprint', '-sha256', '-in', file],
      ]);
      if (exitCode === 0) return canonicalFingerprint(stdout.trim());
      said = stderr;
    }
    throw failed(`the certificate of its API can't be read (${lastLine(said)})`, 'See there: pvenode cert info');
  }

  function failed(what: string, remedy: string): ServiceError {
    return new ServiceError({
      code: 'command-failed',
      message: `On ${host}, ${what}`,
      remedy,
      details: { host },
    });
  }

  return {
    async look(): Promise<AccessSeen | undefined> {
      const found = await run(['/bin/sh', '-c', 'command -v pveum && command -v openssl']);
      if (found.exitCode !== 0) return undefined;
      const users = await json(accessLists.users, ['pveum', 'user', 'list']);
      const isThere = users.some(({ userid }) => userid === apiUser);
      return accessLists.seen({
        users,
        roles: await json(accessLists.roles, ['pveum', 'role', 'list']),
        acl: await json(accessLists.acl, ['pveum', 'acl', 'list']),
        tokens: isThere ? await json(accessLists.tokens, ['pveum', 'user', 'token', 'list', apiUser]) : [],
        fingerprint: await fingerprint(),
      });
    },
    async carryOut(step) {
      await must(commandFor(step));
    },
    async addToken(name, expires) {
      const made = await json(accessLists.made, [
        ...['pveum', 'user', 'token', 'add', apiUser, name],
        ...['--privsep', '1', '--expire', String(expires)],
      ] as unknown as Argv);
      return new Secret(made.value);
    },
  };
}

function commandFor(step: AccessStep): Argv {
  const privileges = 'privileges' in step ? step.privileges.join(',') : '';
  switch (step.kind) {
    case 'add-role':
      return ['pveum', 'role', 'add', step.role, '--privs', privileges];
    case 'set-role':
      return ['pveum', 'role', 'modify', step.role, '--privs', privileges];
    case 'remove-role':
      return ['pveum', 'role', 'delete', step.role];
    case 'add-user':
      return ['pveum', 'user', 'add', apiUser, '--comment', 'Proxmox MCP'];
    case 'enable-user':
      return ['pveum', 'user', 'modify', apiUser, '--enable', '1'];
    case 'remove-user':
      return ['pveum', 'user', 'delete', apiUser];
    case 'set-token':
      return [
        ...(['pveum', 'user', 'token', 'modify', apiUser, step.name] as const),
        ...['--privsep', '1', '--expire', String(step.expires)],
      ];
    case 'remove-token':
      return ['pveum', 'user', 'token', 'remove', apiUser, step.name];
    case 'grant':
    case 'revoke': {
      const { kind, path, subject, role, propagate } = step;
      const to = subject.includes('!') ? '--tokens' : '--users';
      return [
        ...(['pveum', 'acl', kind === 'grant' ? 'modify' : 'delete', path, to, subject, '--roles', role] as const),
        ...(kind === 'grant' && !propagate ? ['--propagate', '0'] : []),
      ];
    }
  }
}

/** Without the usage that follows. */
function firstWords(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '' && !/^pveum /.test(line));
  return cleanLine(lines.slice(0, 3).join('; '), 300);
}

function lastLine(text: string): string {
  return cleanLine(text.trim().split('\n').at(-1) ?? '', 200);
}
