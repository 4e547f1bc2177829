import { z } from 'zod';
import { isServiceError, ServiceError } from '../errors.ts';
import type { Log } from '../log.ts';
import { Secret } from '../secret.ts';
import type { Credentials } from './credentials.ts';
import { addressOf } from './failures.ts';
import type { NodeAddress } from './node-link.ts';
import { type AccessStep, type AccessWay, apiUser } from './onboard.ts';
import { accessLists } from './onboard-lists.ts';
import { createTransportFor, type Transport } from './transport.ts';

// The access by the API itself, with an administrator's one sign-in: where there is no SSH.

/** Who signs in. The password and the code are used for that, and kept by nobody. */
export interface SignIn {
  /** `root@pam` */
  readonly user: string;
  readonly password: Secret;
  /** Asked for where the user has a second factor. `kinds`: `totp`, `recovery`. */
  readonly code: (kinds: readonly string[]) => Promise<Secret>;
}

/** A way to change the access, for the two hours that a sign-in lasts. */
export interface SignedIn extends AccessWay {
  close(): Promise<void>;
}

const ticketSchema = z.looseObject({
  ticket: z.string(),
  username: z.string(),
  CSRFPreventionToken: z.string().optional(),
  NeedTFA: z.coerce.number().optional(),
});

/**
 * Signs in, over a connection whose certificate the administrator has confirmed.
 *
 * @param fingerprint - of that certificate
 * @throws ServiceError `proxmox-authentication`, and what connecting throws
 */
export async function signIn(
  node: NodeAddress,
  { user, password, code }: SignIn,
  { log, fingerprint }: { readonly log: Log; readonly fingerprint: string },
): Promise<SignedIn> {
  const nobody = createTransportFor(node, { id: user, headers: () => ({}), secrets: [password] }, { log, retries: 0 });
  try {
    const first = await ask(nobody, { username: user, password: password.reveal() });
    const whole =
      first.NeedTFA === 1 || first.CSRFPreventionToken === undefined
        ? await secondFactor(nobody, node, user, first.ticket, code)
        : first;
    return byTicket(node, whole, { log, fingerprint });
  } finally {
    await nobody.close();
  }
}

type Ticket = z.output<typeof ticketSchema>;

async function ask(transport: Transport, parameters: Readonly<Record<string, string>>): Promise<Ticket> {
  const path = '/api2/json/access/ticket';
  try {
    return ticketSchema.parse((await transport.send('POST', path, path, parameters)).data);
  } catch (error) {
    // Nothing was to be changed, so that it may simply be done again.
    if (!isServiceError(error, 'outcome-unknown')) throw error;
    const { message, details } = error;
    throw new ServiceError({
      code: 'proxmox-unavailable',
      message,
      remedy: 'Try again: nothing was changed.',
      details,
    });
  }
}

async function secondFactor(
  transport: Transport,
  node: NodeAddress,
  user: string,
  challenge: string,
  code: SignIn['code'],
): Promise<Ticket> {
  const kinds = factorsIn(challenge).filter((kind) => kind === 'totp' || kind === 'recovery');
  if (kinds.length === 0) {
    throw new ServiceError({
      code: 'proxmox-authentication',
      message: `${addressOf(node)} wants a second factor of ${user} that can't be used on a terminal (${factorsIn(challenge).join(', ') || 'of an unknown kind'})`,
      remedy:
        'Sign in as an administrator with a code (TOTP), or use SSH: npx proxmox-mcp host add NAME --address ADDRESS',
    });
  }
  const typed = (await code(kinds)).reveal().replace(/[\s-]/g, '');
  // Six to eight digits are a code; a recovery key is longer.
  const kind =
    /^\d{6,8}$/.test(typed) && kinds.includes('totp') ? 'totp' : kinds.includes('recovery') ? 'recovery' : 'totp';
  return await ask(transport, { username: user, 'tfa-challenge': challenge, password: `${kind}:${typed}` });
}

/** The challenge is a ticket with what the user has, as escaped JSON: `PVE:!tfa!%7B%22totp%22%3Atrue…`. */
function factorsIn(challenge: string): readonly string[] {
  try {
    const escaped = /^PVE:!tfa!([^:]*)/.exec(challenge)?.[1] ?? '';
    const has: unknown = JSON.parse(decodeURIComponent(escaped));
    if (typeof has !== 'object' || has === null) return [];
    return Object.entries(has).flatMap(([name, value]) =>
      value === true || (value !== null && typeof value === 'object') || value === 'available' || value === 'low'
        ? [name]
        : [],
    );
  } catch {
    return [];
  }
}

function byTicket(
  node: NodeAddress,
  { ticket, username, CSRFPreventionToken: csrf = '' }: Ticket,
  { log, fingerprint }: { readonly log: Log; readonly fingerprint: string },
): SignedIn {
  const credentials: Credentials = {
    id: username,
    headers: (method) => ({
      cookie: `PVEAuthCookie=${encodeURIComponent(ticket)}`,
      ...(method === 'GET' ? {} : { csrfpreventiontoken: csrf }),
    }),
    secrets: [ticket, csrf].filter((text) => text !== '').map((text) => new Secret(text)),
  };
  // Proxmox takes up to ten seconds to say that there is no quorum.
  const transport = createTransportFor(node, credentials, { log, timeoutMs: 60_000, retries: 1 });

  async function call(
    method: string,
    template: string,
    values: readonly string[],
    parameters?: Readonly<Record<string, unknown>>,
  ): Promise<unknown> {
    const rest = [...values];
    const path = template.replace(/\*/g, () => rest.shift() ?? '');
    return (await transport.send(method, `/api2/json${path}`, `/api2/json${template}`, parameters)).data;
  }

  async function list<T>(schema: z.ZodType<T>, template: string, values: readonly string[] = []): Promise<T> {
    return held(schema, template, await call('GET', template, values));
  }

  function held<T>(schema: z.ZodType<T>, template: string, value: unknown): T {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    // What it answered may hold a secret.
    throw new ServiceError({
      code: 'unexpected-answer',
      message: `${addressOf(node)} answered ${template} with something else than was expected`,
      remedy: 'Look whether this is a Proxmox VE, and report it if it is.',
    });
  }

  async function carryOut(step: AccessStep): Promise<void> {
    const privs = 'privileges' in step ? step.privileges.join(',') : '';
    switch (step.kind) {
      case 'add-role':
        await call('POST', '/access/roles', [], { roleid: step.role, privs });
        return;
      case 'set-role':
        await call('PUT', '/access/roles/*', [step.role], { privs });
        return;
      case 'remove-role':
        await call('DELETE', '/access/roles/*', [step.role]);
        return;
      case 'add-user':
        await call('POST', '/access/users', [], { userid: apiUser, comment: 'Proxmox MCP' });
        return;
      case 'enable-user':
        await call('PUT', '/access/users/*', [apiUser], { enable: true });
        return;
      case 'remove-user':
        await call('DELETE', '/access/users/*', [apiUser]);
        return;
      case 'set-token':
        await call('PUT', '/access/users/*/token/*', [apiUser, step.name], { privsep: true, expire: step.expires });
        return;
      case 'remove-token':
        await call('DELETE', '/access/users/*/token/*', [apiUser, step.name]);
        return;
      case 'grant':
      case 'revoke': {
        const { kind, path, subject, role, propagate } = step;
        const to = subject.includes('!') ? 'tokens' : 'users';
        await call('PUT', '/access/acl', [], {
          path,
          [to]: subject,
          roles: role,
          ...(kind === 'grant' ? { propagate } : { delete: true }),
        });
      }
    }
  }

  return {
    async look() {
      const users = await list(accessLists.users, '/access/users');
      const isThere = users.some(({ userid }) => userid === apiUser);
      return accessLists.seen({
        users,
        roles: await list(accessLists.roles, '/access/roles'),
        acl: await list(accessLists.acl, '/access/acl'),
        tokens: isThere ? await list(accessLists.tokens, '/access/users/*/token', [apiUser]) : [],
        fingerprint,
      });
    },
    carryOut,
    async addToken(name, expires) {
      const template = '/access/users/*/token/*';
      const answer = await call('POST', template, [apiUser, name], { privsep: true, expire: expires });
      return new Secret(held(accessLists.made, template, answer).value);
    },
    close: transport.close,
  };
}
