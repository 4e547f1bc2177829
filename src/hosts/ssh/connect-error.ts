import type { SshConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { SshLimits } from './limits.ts';

/**
 * ssh2 says where an error comes from in `level`, the system says what it is in `code`; `greeting` is what the server said
 * in place of its version.
 */
interface LibraryError extends Error {
  readonly greeting?: string;
  readonly level?: string;
  readonly code?: unknown;
}

/** The server has no host key of a type it was asked for. */
export function isNoCommonHostKey(error: unknown): boolean {
  return error instanceof Error && error.message.includes('no matching host key format');
}

/** Why a connection could not be made, by what an administrator can do about it. */
export function connectError(name: string, ssh: SshConfig, limits: SshLimits, error: unknown): ServiceError {
  const cause: LibraryError = error instanceof Error ? error : new Error(String(error));
  const where = `${name} (${ssh.host}:${ssh.port})`;
  if (cause.level === 'agent') return noAgent(name, ssh, cause);
  if (cause.level === 'client-authentication' || /authentication failures/i.test(cause.message)) {
    if (ssh.agent !== undefined) return agentRefused(name, where, ssh, cause);
    return new ServiceError({
      code: 'ssh-key-refused',
      message: `${where} refused the SSH key ${ssh.keyPath} for the user ${ssh.user}`,
      remedy: `Add the public half (ssh-keygen -y -f ${ssh.keyPath}) to the user's ~/.ssh/authorized_keys on the host, and check there that the user exists and isn't locked.`,
      details: { host: name, user: ssh.user },
      cause,
    });
  }
  return new ServiceError({
    code: 'host-unreachable',
    ...reason(where, ssh, limits, cause),
    retryable: true,
    details: { host: name },
    cause,
  });
}

function agentRefused(name: string, where: string, { user }: SshConfig, cause: Error): ServiceError {
  return new ServiceError({
    code: 'ssh-key-refused',
    message: `${where} refused every key of the SSH agent for the user ${user}`,
    remedy:
      'See ssh-add -l for the keys it holds, and add the right one with ssh-add. sshd hears of no more than six keys: with more, name the file of the right one (--key).',
    details: { host: name, user },
    cause,
  });
}

function noAgent(name: string, { user, agent }: SshConfig, cause: Error): ServiceError {
  return new ServiceError({
    code: 'ssh-key-refused',
    message: `The SSH agent at ${agent} can't be asked for the keys of ${user} on ${name} (${cause.message})`,
    remedy: 'Start it again and add the key (eval "$(ssh-agent)"; ssh-add), or name the file of the key (--key).',
    details: { host: name, user },
    cause,
  });
}

function reason(
  where: string,
  ssh: SshConfig,
  limits: SshLimits,
  cause: LibraryError,
): { message: string; remedy: string } {
  switch (cause.code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return {
        message: `The name ${ssh.host} can't be resolved (${cause.code})`,
        remedy: 'Check the host name in the configuration and the DNS servers of this machine.',
      };
    case 'ECONNREFUSED':
      return {
        message: `${where} refuses connections: nothing listens on that port`,
        remedy: 'Check on the host that sshd runs (systemctl status ssh) and that the port is right.',
      };
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
      return {
        message: `${where} can't be reached over the network (${cause.code})`,
        remedy: 'Check that the host is up and that no route or firewall is in the way.',
      };
  }
  if (/^Not allowed at this time/.test(cause.greeting ?? '')) {
    return {
      message: `${where} takes no connections from this address for now: its sshd locks addresses out that connect without logging in, or whose logins fail (PerSourcePenalties)`,
      remedy:
        "Wait: it passes by itself, within ten minutes by default, if nothing tries again. See sshd's log on the host for what it counted (journalctl -u ssh); PerSourcePenaltyExemptList in its sshd_config can except this machine's address.",
    };
  }
  if (/^Exceeded MaxStartups/.test(cause.greeting ?? '')) {
    return {
      message: `${where} takes no more connections now: too many are logging in at once (MaxStartups)`,
      remedy:
        "It is tried again by itself where that helps. See sshd's log on the host (journalctl -u ssh) for who they are.",
    };
  }
  if (cause.level === 'client-timeout') {
    return {
      message: `${where} did not complete the SSH handshake within ${limits.connectMs / 1000} s`,
      remedy: 'Check that the host is up and not overloaded, and that the port is that of its sshd.',
    };
  }
  if (cause.level === 'handshake' || cause.level === 'protocol') {
    return {
      message: `${where} answered, but no SSH connection came about (${cause.message})`,
      remedy:
        "Check that the port is that of its sshd, that it isn't refusing new connections (MaxStartups, PerSourcePenalties, fail2ban), and that it offers current algorithms.",
    };
  }
  return {
    message: `${where} closed the connection during the handshake (${cause.message})`,
    remedy:
      "Check sshd's log on the host (journalctl -u ssh): MaxStartups, PerSourcePenalties (OpenSSH 9.8 and newer) and fail2ban close connections like this.",
  };
}
