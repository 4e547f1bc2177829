import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const src = join(import.meta.dirname, '../../src');
const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({ path: path.replaceAll('\\', '/'), text: readFileSync(join(src, path), 'utf8') }));

/**
 * The doors to what the design forbids, and who may open them. Whoever adds a name here has looked that no command
 * runs on a host beside the privilege table (rule 2), and no check of a key or certificate is left out (rule 9).
 */
it.each([
  ['starts programs on this machine', /node:child_process/, /^(hosts\/local\/exec|service\/[a-z-]+)\.ts$/],
  ['starts a shell to do so', /\bshell: true|\bexecSync\(/, /^$/],
  [
    'runs any command on a host',
    /\bcreate(Ssh|Local)Executor\b/,
    /^(hosts\/(connect-hosts|ssh\/[a-z-]+|local\/[a-z-]+)|hosts\/install\/(administrator|prove)|cli\/doctor\/hosts)\.ts$/,
  ],
  ['asks sudo', /bin\/sudo\b|\[['"]sudo['"]/, /^(hosts\/helper\/call|hosts\/install\/(become-root|prove))\.ts$/],
  ['speaks SSH', /from 'ssh2'/, /^hosts\/(ssh\/[a-z-]+|install\/service-key)\.ts$/],
  ['judges host keys', /\bhostVerifier\b/, /^hosts\/ssh\/connect\.ts$/],
  ['looks at certificates itself', /\brejectUnauthorized\b|\bcheckServerIdentity\b/, /^proxmox\/certificate\.ts$/],
  ['switches the checks of certificates off for the process', /NODE_TLS_REJECT_UNAUTHORIZED/, /^$/],
] as const)('nobody else %s', (_, door, allowed) => {
  expect(sources.length).toBeGreaterThan(200);
  expect(sources.filter(({ path, text }) => door.test(text) && !allowed.test(path)).map(({ path }) => path)).toEqual(
    [],
  );
});
