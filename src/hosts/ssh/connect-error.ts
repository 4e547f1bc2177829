import type { SshConfig } from '../../config.ts';
import { ServiceError } from '../../errors.ts';
import type { SshLogin } from './credential.ts';
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
export function connectError(name: string, ssh: SshLogin, limits: SshLimits, error: unknown): ServiceError {
  const cause: LibraryError = error instanceof Error ? error : new Error(String(error));
  const where = `${name} (${ssh.host}:${ssh.port})`;
  if (cause instanceof ServiceError) return cause;
  if (cause.level === 'agent') return notSigned(name, ssh, cause);
  if (cause.level === 'client-authentication' || /authentication failures/i.test(cause.message)) {
    if (ssh.credential !== undefined) return credentialRefused(name, where, ssh, cause);
    return new ServiceError({
      code: 'ssh-key-refused',
      message: `${where} refused the SSH key ${ssh.keyPath} for the user ${ssh.user}`,
      remedy: `Put user and key there again: npx proxmox-mcp host install ${name}. By hand: the public half (ssh-keygen -y -f ${ssh.keyPath}) goes into the user's ~/.ssh/authorized_keys, and the user must not be locked.`,
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

function credentialRefused(name: string, where: string, { user }: SshLogin, cause: Error): ServiceError {
  return new ServiceError({
    code: 'ssh-key-refused',
    message: `${where} does not let ${user} in any more with what it took before`,
    remedy: "Try again; if it stays, look at sshd's log on the host (journalctl -u ssh).",
    details: { host: name, user },
    cause,
  });
}

function notSigned(name: string, { user }: SshConfig, cause: LibraryError): ServiceError {
  return new ServiceError({
    code: 'ssh-key-refused',
    message: `${name} takes a key for ${user}, but it could not be used (${cause.message})`,
    remedy:
      'Look whether the SSH agent asks you to confirm, or start it again and add the key (ssh-add), or name a file: --key FILE.',
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
