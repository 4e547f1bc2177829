import { expect, it } from 'vitest';
import { readSources } from './sources.ts';

const sources = readSources('src');

/**
 * What the design forbids to all but these. Whoever adds a name here has looked that no command runs on a host beside the
 * privilege table (rule 2), and no check of a key or certificate is left out (rule 9). Who may import which package, as the
 * one that starts programs and the one that speaks SSH: `imports.test.ts`.
 */
it.each([
  ['starts a shell for a program', /\bshell: true|\bexecSync\(/, /^$/],
  [
    'runs any command on a host',
    /\bcreate(Ssh|Local)Executor\b/,
    /^src\/(hosts\/(connect-hosts|ssh\/[a-z-]+|local\/[a-z-]+)|hosts\/install\/(administrator|prove)|cli\/doctor\/hosts)\.ts$/,
  ],
  ['asks sudo', /bin\/sudo\b|\[['"]sudo['"]/, /^src\/(hosts\/helper\/call|hosts\/install\/(become-root|prove))\.ts$/],
  ['judges host keys', /\bhostVerifier\b/, /^src\/hosts\/ssh\/connect\.ts$/],
  ['looks at certificates itself', /\brejectUnauthorized\b|\bcheckServerIdentity\b/, /^src\/proxmox\/certificate\.ts$/],
  ['switches the checks of certificates off for the process', /NODE_TLS_REJECT_UNAUTHORIZED/, /^$/],
] as const)('nobody else %s', (_, sign, allowed) => {
  expect(sources.length).toBeGreaterThan(200);
  expect(sources.filter(({ path, text }) => sign.test(text) && !allowed.test(path)).map(({ path }) => path)).toEqual(
    [],
  );
});
