import ssh2, { type AnyAuthMethod, type ParsedKey, type Prompt, type SignCallback } from 'ssh2';
import type { SshConfig } from '../../config.ts';
import type { Secret } from '../../secret.ts';

/** A person who can be asked while somebody logs in for them. Each answer is undefined where they give none. */
export interface Person {
  /** A secret, typed without echo. */
  readonly secret: (question: string) => Promise<Secret | undefined>;
  /** Something that may be seen, as a code that a server sent. */
  readonly text: (question: string) => Promise<string | undefined>;
}

/** What lets an administrator in; nothing of it is kept beyond this process. */
export type Credential =
  | { readonly kind: 'key'; readonly key: ParsedKey }
  | { readonly kind: 'agent-key'; readonly socket: string; readonly key: ParsedKey }
  | { readonly kind: 'password'; readonly password: Secret }
  /** What PAM asks for: secrets that were typed once are given again, anything else is asked each time. */
  | { readonly kind: 'answers'; readonly typed: Map<string, Secret>; readonly person: Person };

/** A login of the service by its key, or of an administrator by what `findCredential` has found. */
export interface SshLogin extends SshConfig {
  readonly credential?: Credential;
}

/** The password of the login, where it has one: sudo most often asks for the same. */
export function passwordOf(credential: Credential | undefined): Secret | undefined {
  if (credential?.kind === 'password') return credential.password;
  if (credential?.kind !== 'answers') return undefined;
  return [...credential.typed].find(([question]) => isPasswordQuestion(question))?.[1];
}

/** As the library wants it. `asking` hears when a person is being asked, and when no more. */
export function authMethod(
  credential: Credential,
  username: string,
  asking: (is: boolean) => void = () => undefined,
): AnyAuthMethod {
  switch (credential.kind) {
    case 'key':
      return { type: 'publickey', username, key: credential.key };
    case 'agent-key':
      return { type: 'agent', username, agent: new OneKeyAgent(credential.key, signByAgent(credential)) };
    case 'password':
      return { type: 'password', username, password: credential.password.reveal() };
    case 'answers':
      return {
        type: 'keyboard-interactive',
        username,
        prompt(_name, _instructions, _language, prompts, finish) {
          asking(true);
          // The server refuses what has no answer.
          answer(credential, prompts)
            .catch(() => [])
            .then((answers) => {
              asking(false);
              finish(answers);
            });
        },
      };
  }
}

async function answer(
  { typed, person }: Extract<Credential, { kind: 'answers' }>,
  prompts: readonly Prompt[],
): Promise<string[]> {
  const answers: string[] = [];
  for (const { prompt, echo } of prompts) {
    const question = prompt.trim();
    if (echo === true) answers.push((await person.text(`${question} `)) ?? '');
    else {
      const known = typed.get(question);
      const secret = known ?? (await person.secret(`${question} `));
      // A code that counts once is asked for again.
      if (secret !== undefined && isPasswordQuestion(question)) typed.set(question, secret);
      answers.push(secret?.reveal() ?? '');
    }
  }
  return answers;
}

function isPasswordQuestion(question: string): boolean {
  return /pass|kennwort|mot de passe|contraseña|\bpw\b/i.test(question) && !/one.?time|otp|code|token/i.test(question);
}

export type Sign = (data: Buffer, hash: string | undefined) => Promise<Buffer>;

/** An agent that holds one key: so it is this side that says which key is offered when. */
export class OneKeyAgent extends ssh2.BaseAgent<ParsedKey> {
  readonly #key: ParsedKey;
  readonly #sign: Sign;

  constructor(key: ParsedKey, sign: Sign) {
    super();
    this.#key = key;
    this.#sign = sign;
  }

  override getIdentities(done: (error?: Error | null, keys?: ParsedKey[]) => void): void {
    done(null, [this.#key]);
  }

  override sign(_key: ParsedKey, data: Buffer, ...rest: readonly unknown[]): void {
    const done = rest.at(-1) as SignCallback;
    const { hash } = (typeof rest[0] === 'object' && rest[0] !== null ? rest[0] : {}) as { hash?: string };
    this.#sign(data, hash).then(
      (signature) => done(null, signature),
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
    );
  }
}

function signByAgent({ socket, key }: Extract<Credential, { kind: 'agent-key' }>): Sign {
  return (data, hash) =>
    new Promise((resolve, reject) => {
      const options = hash === undefined ? {} : { hash: hash as 'sha256' };
      ssh2.createAgent(socket).sign(key, data, options, (error, signature) => {
        if (signature !== undefined && !error) resolve(signature);
        else reject(error ?? new Error('the agent did not sign'));
      });
    });
}

/** The keys that an SSH agent holds and that can be used here. Throws what the socket says. */
export function keysOfAgent(socket: string): Promise<readonly ParsedKey[]> {
  return new Promise((resolve, reject) => {
    ssh2.createAgent(socket).getIdentities((error, keys) => {
      if (error) return reject(error);
      const parsed = (keys ?? []).flatMap((key) => {
        const one = ssh2.utils.parseKey(key as ParsedKey);
        return one instanceof Error ? [] : [one];
      });
      resolve(parsed);
    });
  });
}
