import { fileURLToPath } from 'node:url';
import { ensureEngine, labError, run } from './engine.ts';

const script = fileURLToPath(new URL('./images/ensure.sh', import.meta.url));

/** Images of the deployment with containers: `app` is the service's own, the others stand in for what only a registry has. */
export type ImageName = 'app' | 'node' | 'postgres' | 'prometheus' | 'caddy' | 'temporal' | 'temporal-ui';

/** Their full names in the lab's engine; builds those whose recipes are new, which takes minutes, once. */
export async function ensureImages<const Name extends ImageName>(
  ...names: readonly Name[]
): Promise<Readonly<Record<Name, string>>> {
  const DOCKER_HOST = await ensureEngine();
  const output = await run(['bash', script, ...names], { env: { DOCKER_HOST }, timeoutMs: 30 * 60_000 });
  if (output.exitCode !== 0) throw labError("The deployment's images could not be built", output.stderr.trim());
  const lines = output.stdout.trim().split('\n');
  return Object.fromEntries(names.map((name, index) => [name, lines[index] ?? ''])) as Record<Name, string>;
}
