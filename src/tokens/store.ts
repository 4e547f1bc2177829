import { join } from 'node:path';
import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { principalName } from '../principal-name.ts';
import { createPrivateJson } from '../private-json.ts';
import { hashToken, newToken, type Scope, sameHash, scopes, tokenId } from './token.ts';

/** A token as lists show it; the token itself is shown once, when it is made. */
export interface TokenInfo {
  readonly name: string;
  readonly scope: Scope;
  /** The person whose agent uses it. */
  readonly owner?: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly expiresAt?: string;
}

export interface TokenStore {
  /** Makes a token and hands it out, once. Throws `already-exists`, `invalid-input`. */
  create(options: {
    /** 1 to 64 letters, digits and `. _ -`; who uses the token. */
    readonly name: string;
    readonly scope: Scope;
    /** The name of a person; who calls has looked that there is one. */
    readonly owner?: string;
    readonly expiresAt?: Date;
  }): Promise<TokenInfo & { readonly token: string }>;
  /**
   * Whose token this is; `undefined` for a wrong, expired or revoked one. Costs one stat and one hash, however many
   * tokens there are. Throws `configuration` or `unreadable` when the file can't be trusted: never lets anybody in then.
   */
  verify(token: string): TokenInfo | undefined;
  list(): readonly TokenInfo[];
  /** Throws `not-found`, naming those that there are. A running server refuses the token from its next request on. */
  revoke(name: string): Promise<TokenInfo>;
}

const record = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{12}$/),
  name: principalName,
  scope: z.enum(scopes),
  owner: principalName.optional(),
  /** SHA-256 of the whole token, hexadecimal. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime().optional(),
});
const content = z.object({ version: z.literal(1), tokens: z.array(record) });
type Content = z.infer<typeof content>;
type StoredToken = z.infer<typeof record>;

/** Where the tokens are kept. */
export function tokensFile(accessDir: string): string {
  return join(accessDir, 'tokens.json');
}

/** Bearer tokens of MCP clients in one file, `<accessDir>/tokens.json`: hashed, mode 0600, shared by all processes. */
export function createTokenStore(path: string): TokenStore {
  const file = createPrivateJson<Content>({
    path,
    schema: content,
    empty: { version: 1, tokens: [] },
    of: 'tokens',
    consequence: 'no token is accepted',
    anew: 'make new tokens with `npx proxmox-mcp token create`',
  });
  let indexed: { readonly of?: Content; readonly byId: ReadonlyMap<string, StoredToken> } = { byId: new Map() };

  function byId(): ReadonlyMap<string, StoredToken> {
    const content = file.read();
    if (content !== indexed.of) indexed = { of: content, byId: new Map(content.tokens.map((one) => [one.id, one])) };
    return indexed.byId;
  }

  return {
    async create({ name: wanted, scope, owner, expiresAt }) {
      checkInput(wanted, scope, expiresAt);
      return file.change(({ tokens, ...rest }) => {
        if (tokens.some((one) => one.name === wanted)) {
          throw new ServiceError({
            code: 'already-exists',
            message: `There is a token named ${wanted} already`,
            remedy: `Choose another name, or revoke it first: npx proxmox-mcp token revoke ${wanted}`,
          });
        }
        const { id, token } = newToken();
        const made: StoredToken = {
          id,
          name: wanted,
          scope,
          ...(owner !== undefined && { owner }),
          hash: hashToken(token),
          createdAt: new Date().toISOString(),
          ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
        };
        return { content: { ...rest, tokens: [...tokens, made] }, result: { ...infoOf(made), token } };
      });
    },
    verify(token) {
      const found = byId().get(tokenId(token) ?? '');
      if (found === undefined || !sameHash(found.hash, hashToken(token))) return undefined;
      if (found.expiresAt !== undefined && Date.parse(found.expiresAt) <= Date.now()) return undefined;
      return infoOf(found);
    },
    list: () => file.read().tokens.map(infoOf),
    revoke: (unwanted) =>
      file.change(({ tokens, ...rest }) => {
        const gone = tokens.find((one) => one.name === unwanted);
        if (gone === undefined) {
          const names = tokens.map((one) => one.name).join(', ');
          throw new ServiceError({
            code: 'not-found',
            message: `There is no token named ${JSON.stringify(unwanted)}`,
            remedy: names === '' ? 'There are no tokens at all.' : `There are: ${names}.`,
          });
        }
        return { content: { ...rest, tokens: tokens.filter((one) => one !== gone) }, result: infoOf(gone) };
      }),
  };
}

function infoOf({ name, scope, owner, createdAt, expiresAt }: StoredToken): TokenInfo {
  return {
    name,
    scope,
    ...(owner !== undefined && { owner }),
    createdAt,
    ...(expiresAt !== undefined && { expiresAt }),
  };
}

function checkInput(wanted: string, scope: string, expiresAt: Date | undefined): void {
  const invalid = (message: string, remedy: string) => new ServiceError({ code: 'invalid-input', message, remedy });
  if (!principalName.safeParse(wanted).success) {
    throw invalid(
      "The token's name isn't valid",
      'Use 1 to 64 letters, digits and . _ -, starting with a letter or digit, e.g. claude-code.',
    );
  }
  if (!scopes.some((one) => one === scope)) {
    throw invalid(`The scope ${JSON.stringify(scope)} isn't known`, `Use one of ${scopes.join(', ')}.`);
  }
  if (expiresAt !== undefined && !(expiresAt.getTime() > Date.now())) {
    throw invalid("The token's expiry isn't a time in the future", 'Write e.g. 2027-12-31, or leave it out.');
  }
}
