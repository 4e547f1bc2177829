import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { ServiceError } from '../errors.ts';
import { replacePrivateFile } from '../private-file.ts';
import { withFileLock } from './file-lock.ts';
import { hashToken, newToken, type Scope, sameHash, scopes, tokenId } from './token.ts';

/** A token as lists show it; the token itself is shown once, when it is made. */
export interface TokenInfo {
  readonly name: string;
  readonly scope: Scope;
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

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
const record = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{12}$/),
  name,
  scope: z.enum(scopes),
  /** SHA-256 of the whole token, hexadecimal. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime().optional(),
});
const content = z.object({ version: z.literal(1), tokens: z.array(record) });
type StoredToken = z.infer<typeof record>;

interface Loaded {
  readonly stamp: string;
  readonly byId: ReadonlyMap<string, StoredToken>;
}

/** Bearer tokens of MCP clients in one file, `<dataDir>/tokens.json`: hashed, mode 0600, shared by all processes. */
export function createTokenStore(path: string): TokenStore {
  let loaded: Loaded = { stamp: '', byId: new Map() };

  function current(): ReadonlyMap<string, StoredToken> {
    const stamp = stampOf(path);
    if (stamp !== loaded.stamp) loaded = { stamp, byId: stamp === absent ? new Map() : read(path) };
    return loaded.byId;
  }

  async function change<Result>(
    work: (tokens: readonly StoredToken[]) => { tokens: readonly StoredToken[]; result: Result },
  ) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return withFileLock(path, () => {
      const { tokens, result } = work([...current().values()]);
      replacePrivateFile(path, `${JSON.stringify({ version: 1, tokens }, null, 2)}\n`);
      return result;
    });
  }

  return {
    async create({ name: wanted, scope, expiresAt }) {
      checkInput(wanted, scope, expiresAt);
      return change((tokens) => {
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
          hash: hashToken(token),
          createdAt: new Date().toISOString(),
          ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
        };
        return { tokens: [...tokens, made], result: { ...infoOf(made), token } };
      });
    },
    verify(token) {
      const found = current().get(tokenId(token) ?? '');
      if (found === undefined || !sameHash(found.hash, hashToken(token))) return undefined;
      if (found.expiresAt !== undefined && Date.parse(found.expiresAt) <= Date.now()) return undefined;
      return infoOf(found);
    },
    list: () => [...current().values()].map(infoOf),
    revoke: (unwanted) =>
      change((tokens) => {
        const gone = tokens.find((one) => one.name === unwanted);
        if (gone === undefined) {
          const names = tokens.map((one) => one.name).join(', ');
          throw new ServiceError({
            code: 'not-found',
            message: `There is no token named ${JSON.stringify(unwanted)}`,
            remedy: names === '' ? 'There are no tokens at all.' : `There are: ${names}.`,
          });
        }
        return { tokens: tokens.filter((one) => one !== gone), result: infoOf(gone) };
      }),
  };
}

const absent = 'absent';

/** Every replacement is a new inode, so that even two within one tick of the clock are told apart. */
function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? absent : `${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.size} ${stat.mode}`;
}

function read(path: string): Map<string, StoredToken> {
  if (((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o077) !== 0) {
    throw new ServiceError({
      code: 'configuration',
      message: `${path} may be read or written by other users, so that its tokens can't be trusted`,
      remedy: `If nobody else has been on this machine run: chmod 600 ${path}. Else remove the file and make new tokens.`,
    });
  }
  const parsed = content.safeParse(parseJson(path));
  if (!parsed.success) {
    throw new ServiceError({
      code: 'unreadable',
      message: `${path} is damaged: it isn't a file of tokens. It was left as it is, and no token is accepted`,
      remedy: 'Restore it from a backup, or move it away and make new tokens with `npx proxmox-mcp token create`.',
    });
  }
  return new Map(parsed.data.tokens.map((one) => [one.id, one]));
}

function parseJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ServiceError({
      code: 'unreadable',
      message: `${path} can't be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'})`,
      remedy: 'Run the service as the user that owns the data folder.',
      cause: error,
    });
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function infoOf({ name: of, scope, createdAt, expiresAt }: StoredToken): TokenInfo {
  return { name: of, scope, createdAt, ...(expiresAt !== undefined && { expiresAt }) };
}

function checkInput(wanted: string, scope: string, expiresAt: Date | undefined): void {
  const invalid = (message: string, remedy: string) => new ServiceError({ code: 'invalid-input', message, remedy });
  if (!name.safeParse(wanted).success) {
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
