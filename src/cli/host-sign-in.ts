import type { LoadedConfig } from '../config/load.ts';
import type { HostConfig, ProxmoxApiConfig } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { probeCertificate } from '../proxmox/certificate.ts';
import { type AccessWanted, apiUser } from '../proxmox/onboard.ts';
import { type SignedIn, signIn } from '../proxmox/onboard-api.ts';
import { confirmCertificate } from './host-add.ts';
import { byHand, isSwitchedOff, planPart, removalPart, switchedOff } from './host-api.ts';
import { type AgreeOptions, askToAgree } from './host-login.ts';
import { ask, askSecret, isAtTerminal, note } from './terminal.ts';

// The access to the Proxmox API where there is no SSH: by the API itself, with an administrator's one sign-in.

export interface SignInOptions {
  /** `root@pam`; undefined: it is asked for. */
  readonly as?: string | undefined;
}

/** A host that is reached by its API alone, configured or to be. */
export interface ApiHost {
  readonly loaded: LoadedConfig;
  readonly name: string;
  readonly address: Pick<ProxmoxApiConfig, 'host' | 'port' | 'trust'>;
  /** As it is configured; undefined: not yet. */
  readonly host: HostConfig | undefined;
  readonly log: Log;
}

export type AccessOutcome = 'made' | 'nothing-to-do' | 'declined';

/**
 * Makes, or corrects, user, roles and API token. Shows the certificate first and has it confirmed: nothing is typed to a server
 * that nobody knows.
 *
 * @param expected - the fingerprint that the certificate must have; undefined: a person compares it
 */
export async function makeBySignIn(
  { loaded, name, address: configured, host, log }: ApiHost,
  access: AccessWanted,
  options: SignInOptions & AgreeOptions & { readonly expected: string | undefined },
): Promise<AccessOutcome> {
  const api = host?.api;
  if (isSwitchedOff(loaded)) throw switchedOff(name);
  if (api !== undefined && api.user !== apiUser) throw byHand(name, api);
  const pin = await confirmCertificate(name, configured, options.expected);
  const address =
    pin === undefined ? configured : { ...configured, trust: { kind: 'fingerprint', sha256: pin } as const };
  const way = await signInAtTerminal(address, options, log);
  try {
    const seen = await way.look();
    if (seen === undefined) return 'nothing-to-do';
    const part = await planPart({
      loaded,
      name,
      isNew: host === undefined,
      address,
      api,
      seen,
      log,
      access,
      use: (work) => work(way),
    });
    if (part.lines.length === 0) return 'nothing-to-do';
    if (!(await askToAgree(`let the service use the Proxmox API of ${name}`, options)(part.lines))) return 'declined';
    await part.carryOut();
    return 'made';
  } finally {
    await way.close();
  }
}

/** Takes it all off again, and the host out of the configuration. */
export async function removeBySignIn(
  { loaded, host, log }: ApiHost & { readonly host: HostConfig & { readonly api: ProxmoxApiConfig } },
  options: SignInOptions & AgreeOptions,
): Promise<AccessOutcome> {
  const { api, name } = host;
  if (api.user !== apiUser) throw byHand(name, api);
  const way = await signInAtTerminal(api, options, log);
  try {
    const part = removalPart(loaded, host, api, await way.look(), (work) => work(way));
    if (!(await askToAgree(`uninstall on ${name}`, options)(part.lines))) return 'declined';
    await part.carryOut();
    return 'made';
  } finally {
    await way.close();
  }
}

/** Asks for user, password and, where the user has one, the second factor's code. None of it is kept, or taken from an argument. */
async function signInAtTerminal(address: ApiHost['address'], { as }: SignInOptions, log: Log): Promise<SignedIn> {
  if (!isAtTerminal()) {
    throw new ServiceError({
      code: 'invalid-input',
      message: 'Nobody can be asked for a password (no terminal), so nothing was changed',
      remedy:
        'Run it in a terminal; or make the access by SSH: npx proxmox-mcp host add NAME --address ADDRESS, then host install NAME --yes.',
    });
  }
  note('Sign in as an administrator of Proxmox VE: once, for this. Nothing of it is kept.');
  const user = as ?? ((await ask('User with its realm (root@pam): ')) || 'root@pam');
  if (!/^[^\s:/]+@[A-Za-z][\w.-]*$/.test(user)) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `${JSON.stringify(user.slice(0, 60))} is no user of Proxmox VE`,
      remedy: 'Give the name with its realm: root@pam, anna@pve.',
    });
  }
  const { fingerprint } = await probeCertificate(address.host, address.port);
  const password = await askSecret(`Password of ${user}: `);
  const code = (kinds: readonly string[]) =>
    askSecret(`Code of the second factor${kinds.includes('recovery') ? ', or a recovery key' : ''}: `);
  return await signIn(address, { user, password, code }, { log, fingerprint });
}
