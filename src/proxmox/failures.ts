import { urlHost } from '../address.ts';
import { type ErrorCode, ServiceError } from '../errors.ts';

/** Where a call goes. */
export interface Address {
  readonly host: string;
  readonly port: number;
  /** Default: a Proxmox VE's. */
  readonly product?: 'backup-server';
}

/** The call that failed. `path` has its values but no parameters: those may hold passwords. */
export interface FailedCall extends Address {
  readonly method: string;
  readonly path: string;
  /** `user@realm!name`, or `user@realm` of a person who has signed in. */
  readonly token: string;
}

/** What came back instead of success. `text` is cleaned of secrets already. */
export interface Refusal {
  readonly status: number;
  /** The message of the body, or the reason phrase: a 401 and a 59x have nothing else. */
  readonly text: string;
  readonly errors: Readonly<Record<string, string>>;
}

export function addressOf({ host, port }: Address): string {
  return `${urlHost(host)}:${port}`;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly retryable?: boolean;
}

const missing: Meaning = {
  code: 'proxmox-not-found',
  remedy: 'Check the name or number: it may be mistyped, on another node, or deleted.',
};
const exists: Meaning = { code: 'already-exists', remedy: 'Choose another name or number, or use what is there.' };
const invalid: Meaning = {
  code: 'proxmox-invalid',
  remedy: "Correct the named parameters; the node's API viewer (/pve-docs/api-viewer) shows what it accepts.",
};

/** Proxmox says almost everything with status 500: what it means is only in the text. First match wins. */
const meanings: readonly (readonly [RegExp, Meaning])[] = [
  [
    /no quorum|\.tmp\.\d+' - Permission denied/,
    {
      code: 'proxmox-unavailable',
      remedy: 'The cluster has no quorum, so nothing can be changed: bring the other nodes back (pvecm status).',
      retryable: true,
    },
  ],
  [
    /\bis locked\b|can't lock file|can't aquire lock|got lock request timeout|cfs-lock/,
    {
      code: 'proxmox-locked',
      remedy: 'Wait until what holds the lock (a backup, migration, snapshot …) has ended, then try again.',
      retryable: true,
    },
  ],
  [/already exists|already defined/i, exists],
  [
    /hostname lookup '/,
    {
      code: 'proxmox-not-found',
      remedy:
        'A node of that name was renamed, removed, or never there: look which there are (Datacenter, Summary, or pvecm nodes). After a renaming try again: the service asks for the name anew.',
    },
  ],
  [/does not exist|unable to find configuration file|: No such file or directory/, missing],
  [/\bno such (user|token|cluster node|resource|vzdump job|storage|task|group|role)\b/i, missing],
  [/^(400 )?Parameter verification failed|^format error|no options specified|missing value for/, invalid],
  [
    /^403 |only root (can|may)/i,
    { code: 'proxmox-permission', remedy: 'Only root@pam itself may do this; an API token never can.' },
  ],
  [
    /No QEMU guest agent configured|QEMU guest agent is not running/,
    {
      code: 'conflict',
      remedy:
        'Switch the agent on in its configuration (agent: 1), install and start qemu-guest-agent in the guest, then stop and start it.',
    },
  ],
  [
    /already running|not running|is running|protection mode|checksum mismatch|modified configuration|is not empty/,
    { code: 'conflict', remedy: 'Look at its present state, then ask again for what that state allows.' },
  ],
];

const fallbacks: Readonly<Record<number, Meaning>> = {
  404: missing,
  501: {
    code: 'proxmox-invalid',
    remedy: 'This version of Proxmox has no such call: compare its version with what the operation needs.',
  },
  506: invalid,
};

/** Turns an answer that isn't a success into the error a caller can act on. */
export function refusalFailure(refusal: Refusal, call: FailedCall): ServiceError {
  const { status, text, errors } = refusal;
  if (status === 401) return authenticationFailure(text, call);
  if (status === 403) return permissionFailure(text, call);
  const node = status === 595 ? /^\/nodes\/([^/]+)/.exec(call.path)?.[1] : undefined;
  if (node !== undefined) return nodeIsDown(node, text, call);
  const wrong = Object.entries(errors).map(([name, problem]) => `${name}: ${problem.trim()}`);
  const said = wrong.length > 0 ? wrong.join('; ') : text || `status ${status}`;
  const meaning = meaningOf(status, said);
  const lost = outcomeUnknown(status, call.method);
  const asked = `${call.method} ${call.path}`;
  return new ServiceError({
    code: lost ? 'outcome-unknown' : meaning.code,
    message: `${addressOf(call)} answered ${asked} with ${status}: ${said}.`,
    remedy: lost ? lookFirst : meaning.remedy,
    retryable: !lost && (meaning.retryable ?? false) && (call.method === 'GET' || meaning.code === 'proxmox-locked'),
    details: {
      host: call.host,
      status,
      ...Object.fromEntries(Object.entries(errors).map(([name, problem]) => [`errors.${name}`, problem.trim()])),
    },
  });
}

/** A node passes on what is about another one. */
function nodeIsDown(node: string, text: string, call: FailedCall): ServiceError {
  return new ServiceError({
    code: 'proxmox-unavailable',
    message: `The node ${node} is down, or its Proxmox services are: ${addressOf(call)} answered ${call.method} ${call.path} with 595: ${text || 'no reason given'}.`,
    remedy: `See whether ${node} is up and its services run (systemctl status pveproxy pvedaemon), then try again; nothing reached it.`,
    retryable: call.method === 'GET',
    details: { host: call.host, status: 595, node },
  });
}

/** What the first of several nodes failed with, and that the others did too. */
export function alsoTried(tried: readonly { readonly node: Address; readonly failure: ServiceError }[]): ServiceError {
  const [first, ...rest] = tried;
  if (first === undefined) throw new Error('nothing was tried');
  const { code, message, remedy, retryable, details } = first.failure;
  if (rest.length === 0) return first.failure;
  const others = rest.map(
    ({ node, failure }) => `${addressOf(node)} (${String(failure.details.cause ?? failure.code)})`,
  );
  return new ServiceError({
    code,
    message: `${message.replace(/\.$/, '')}, and no other node of its cluster answers either: ${others.join(', ')}.`,
    remedy,
    retryable,
    details,
    cause: first.failure,
  });
}

const lookFirst = 'It may have been done: look at the task list and at the thing itself before trying again.';

function meaningOf(status: number, said: string): Meaning {
  if (status === 400) {
    if (/(^|: )no such |does not exist/i.test(said)) return missing;
    return /already exists/i.test(said) ? exists : invalid;
  }
  const known = status === 500 ? meanings.find(([pattern]) => pattern.test(said))?.[1] : undefined;
  return (
    known ??
    fallbacks[status] ?? {
      code: 'proxmox-unavailable',
      remedy: 'Check that the node is up and its services run (systemctl status pveproxy pvedaemon), then try again.',
      retryable: true,
    }
  );
}

/** 595 says that nothing reached the other node; 596 and 599 can come after it did. */
function outcomeUnknown(status: number, method: string): boolean {
  return method !== 'GET' && (status === 596 || status === 599 || status === 502 || status === 504);
}

function authenticationFailure(text: string, call: FailedCall): ServiceError {
  const [user = '', name] = call.token.split('!', 2);
  if (name === undefined) return signInFailure(text, call);
  return new ServiceError({
    code: 'proxmox-authentication',
    message: `${addressOf(call)} refused the API token ${call.token}: ${text || 'no reason given'}.`,
    remedy: `It doesn't say whether it was deleted, has expired, its user is disabled, or its name or secret is mistyped. See on the host: ${
      call.product === 'backup-server'
        ? `proxmox-backup-manager user list-tokens ${user}. Its secret is in the entry's PBS_TOKEN_VALUE or the file of PBS_TOKEN_VALUE_FILE.`
        : `pveum user token list ${user}. One that host install made is put in order by: npx proxmox-mcp host install NAME.`
    }`,
    details: { host: call.host, status: 401, token: call.token },
  });
}

function signInFailure(text: string, call: FailedCall): ServiceError {
  return new ServiceError({
    code: 'proxmox-authentication',
    message: `${addressOf(call)} refused ${call.token}: ${text || 'no reason given'}.`,
    remedy: 'Check the user with its realm (root@pam, anna@pve), the password and the code, then try again.',
    details: { host: call.host, status: 401 },
  });
}

function permissionFailure(text: string, call: FailedCall): ServiceError {
  const [, path, privilege] = /\((\/[^,]*), ([^)]+)\)/.exec(text) ?? [];
  const needed = path && privilege ? `${privilege.replaceAll('|', ' or ')} on ${path}` : 'the right to do it';
  const isToken = call.token.includes('!');
  if (!isToken) {
    return new ServiceError({
      code: 'proxmox-permission',
      message: `${addressOf(call)} doesn't let ${call.token} do ${call.method} ${call.path}: ${text}.`,
      remedy: `Sign in as one who has ${needed}: root@pam, or an administrator with the role Administrator on /.`,
      details: { host: call.host, status: 403, ...(path && privilege ? { path, privilege } : {}) },
    });
  }
  const grant =
    call.product === 'backup-server'
      ? ` (proxmox-backup-manager acl update ${path ?? '/datastore'} ROLE --auth-id '${call.token}')`
      : path
        ? ` (pveum acl modify ${path} --tokens '${call.token}' --roles …)`
        : '';
  return new ServiceError({
    code: 'proxmox-permission',
    message: `${addressOf(call)} doesn't let the API token ${call.token} do ${call.method} ${call.path}: ${text}.`,
    remedy: `Give it ${needed}${grant}; an API token with privilege separation needs it besides its user.`,
    details: {
      host: call.host,
      status: 403,
      token: call.token,
      ...(path && privilege ? { path, privilege } : {}),
    },
  });
}

/** Errors before the request left: sending it again can't do anything twice. */
const neverSent = new Set(
  'ECONNREFUSED ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH EHOSTDOWN ENETDOWN UND_ERR_CONNECT_TIMEOUT'.split(' '),
);

const untrusted =
  /^(ERR_TLS_CERT|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY|DECRYPT_CERT)|INVALID_(CA|PURPOSE)|HOSTNAME_MISMATCH)/;

/** The same of a Proxmox Backup Server, whose certificate is its own. */
const pinServer =
  'Compare its SHA-256 fingerprint on the server itself (proxmox-backup-manager cert info), and write it as PBS_FINGERPRINT in its entry of hosts.yaml. Where it has expired: proxmox-backup-manager cert update --force.';

const pinIt =
  'pin its SHA-256 fingerprint, once you have compared it (npx proxmox-mcp host add NAME), or give the cluster CA (/etc/pve/pve-root-ca.pem) as CA file';

/** Why a certificate isn't trusted, and what helps against that. First match wins. */
const distrusts: readonly (readonly [RegExp, string, string])[] = [
  [
    /HAS_EXPIRED/,
    'has expired',
    'Renew it on the host: pvenode acme cert order where it comes from ACME, else pvecm updatecerts --force; then systemctl reload pveproxy, and see it with: npx proxmox-mcp doctor.',
  ],
  [/NOT_YET_VALID/, 'is not valid yet', 'Compare the clocks of this machine and of the host (timedatectl).'],
  [
    /ALTNAME|HOSTNAME_MISMATCH/,
    'is for other names',
    `Write a name or address that is in it as PROXMOX_HOST (pvenode cert info shows them); or ${pinIt}.`,
  ],
  [
    /SELF_SIGNED/,
    'is signed by itself, or by a CA that this machine does not know',
    `If it is the host's own, ${pinIt}.`,
  ],
  [
    /./,
    'is not signed by a CA that is trusted here',
    `A fresh Proxmox VE signs with a CA of its own: ${pinIt}. Where a CA file is given, look that it is this cluster's.`,
  ],
];

function untrustedFailure(
  code: string,
  address: string,
  details: ServiceError['details'],
  product: Address['product'],
): ServiceError {
  const [, what = 'is not trusted', remedy = ''] = distrusts.find(([pattern]) => pattern.test(code)) ?? [];
  return new ServiceError({
    code: 'proxmox-certificate',
    message: `The certificate of ${address} ${what} (${code}), so nothing was sent.`,
    remedy: product === 'backup-server' ? pinServer : remedy,
    details,
  });
}

/**
 * Turns what the network or TLS threw into the error a caller can act on. Nothing of the thrown error but its code is
 * kept: some carry the request they belong to.
 */
export function networkFailure(
  error: unknown,
  call: Address & { readonly method: string; readonly path?: string },
): ServiceError {
  if (error instanceof ServiceError) return error;
  const { code: rawCode, name, cause } = error as { code?: unknown; name?: string; cause?: { code?: unknown } };
  const code = [rawCode, cause?.code].find((value) => typeof value === 'string') as string | undefined;
  const address = addressOf(call);
  const details = { host: call.host, port: call.port, cause: code ?? name ?? 'unknown' };
  if (code && untrusted.test(code)) return untrustedFailure(code, address, details, call.product);
  if (call.method !== 'GET' && !(code && neverSent.has(code))) {
    return new ServiceError({
      code: 'outcome-unknown',
      message: `The connection to ${address} ended (${details.cause}) before it answered ${call.method} ${call.path ?? ''}.`,
      remedy: lookFirst,
      details,
    });
  }
  if (name === 'TimeoutError' || code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new ServiceError({
      code: 'timeout',
      message: `${address} didn't answer in time.`,
      remedy: 'Check that the node is up, that nothing between drops packets to this port, and how busy it is.',
      retryable: true,
      details,
    });
  }
  return new ServiceError({
    code: 'proxmox-unavailable',
    message: `${address} can't be reached: ${details.cause}.`,
    remedy:
      call.product === 'backup-server'
        ? 'Check the host name and port (8007 unless changed), that the server is up and that proxmox-backup-proxy runs on it.'
        : 'Check the host name and port (8006 unless changed), that the node is up and that pveproxy runs on it.',
    retryable: true,
    details,
  });
}

/** The caller gave up; for a change that isn't the same as "not done". */
export function cancelledFailure(call: FailedCall): ServiceError {
  const reading = call.method === 'GET';
  return new ServiceError({
    code: reading ? 'cancelled' : 'outcome-unknown',
    message: `${call.method} ${call.path} on ${addressOf(call)} was cancelled before it answered.`,
    remedy: reading ? 'Ask again if it is still wanted.' : lookFirst,
    details: { host: call.host },
  });
}

/** An answer that makes no sense, such as a login page of something that isn't Proxmox. */
export function unexpectedAnswer(call: Omit<FailedCall, 'token'>, what: string): ServiceError {
  return new ServiceError({
    code: 'unexpected-answer',
    message: `${addressOf(call)} answered ${call.method} ${call.path} with something unexpected: ${what}.`,
    remedy: 'Check that host and port are those of the Proxmox VE API and that no proxy or login page is in between.',
    details: { host: call.host, port: call.port },
  });
}

/** A file that the API's server shows is not there. */
export function missingFile(call: FailedCall): ServiceError {
  return new ServiceError({
    code: 'proxmox-not-found',
    message: `${addressOf(call)} has no file ${call.path}.`,
    remedy: 'Look which package of the node brings it, and whether that is installed.',
    details: { host: call.host, status: 404 },
  });
}
