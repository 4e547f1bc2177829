import { join } from 'node:path';
import { ensureEngine, run } from '../../lab/engine.ts';
import type { LabHost } from '../../lab/hosts/lab-host.ts';
import { ensureImages } from '../../lab/images.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';

const root = join(import.meta.dirname, '../..');
const folder = defaultLayout.installation;

/** The services whose containers stay. */
export const longLived = ['caddy', 'ledger', 'mcp-server', 'postgres', 'temporal', 'temporal-ui', 'worker'] as const;

/** What install.sh makes of a lab host that has Docker: the shipped compose project, managing that very host as `this`. */
export interface Deployment {
  readonly host: LabHost;
  /** `docker compose …` in the installation's folder; throws when it fails. */
  compose(args: readonly string[], options?: { readonly timeoutMs?: number }): Promise<string>;
  /** The command line, as root of the host has it. */
  cli(...args: readonly string[]): Promise<string>;
  /** State and health by service, of the long-lived containers. */
  states(): Promise<Readonly<Record<string, string>>>;
  /** Where Caddy answers with TLS, and the certificate of its own CA. */
  readonly url: string;
  ca(): Promise<string>;
}

/** What images and limits the lab needs: names of images, and no limit of processors, as its engine has no controllers. */
async function lines(address: string): Promise<Readonly<Record<string, string>>> {
  const images = await ensureImages('app', 'postgres', 'prometheus', 'caddy', 'temporal', 'temporal-ui');
  const [, tag = ''] = images.app.split(':');
  const limits = ['MCP', 'WORKER', 'LEDGER', 'CADDY', 'POSTGRES', 'TEMPORAL', 'TEMPORAL_UI', 'PROMETHEUS'];
  return {
    IMAGE_TAG: tag,
    CADDY_IMAGE: images.caddy,
    POSTGRES_IMAGE: images.postgres,
    PROMETHEUS_IMAGE: images.prometheus,
    TEMPORAL_IMAGE: images.temporal,
    TEMPORAL_ADMIN_TOOLS_IMAGE: images.temporal,
    TEMPORAL_UI_IMAGE: images['temporal-ui'],
    ...Object.fromEntries(limits.map((name) => [`${name}_CPUS`, '0'])),
    HOST_NAME: 'this',
    SSH_HOST: '172.20.1.1',
    SSH_USER: 'claude-user',
    SSH_KEY_PATH: `${folder}/keys/claude_proxmox_key`,
    SSH_KNOWN_HOSTS: `${folder}/keys/known_hosts`,
    PUBLISH_ADDRESS: '0.0.0.0',
    MCP_PUBLIC_URL: `https://${address}`,
  };
}

/** Loads the images, and installs with `.env` as an administrator may have written it before; resolves when everything is healthy. */
export async function deploy(host: LabHost): Promise<Deployment> {
  const env = await lines(host.address.host);
  const { IMAGE_TAG: tag = '' } = env;
  const images = [
    `proxmox-mcp-server:${tag}`,
    ...Object.entries(env).flatMap(([key, value]) => (key.endsWith('_IMAGE') ? [value] : [])),
  ];
  await load(host, [...new Set(images)]);
  await bringSources(host);
  const text = Object.entries(env).map(([key, value]) => `${key}=${value}\n`);
  await host.writeFile(`${folder}/.env`, text.join(''), { mode: 0o600 });
  await host.must(['/srv/sources/install.sh', '--yes', '--image', tag], { timeoutMs: 600_000 });

  const compose: Deployment['compose'] = (args, options = {}) =>
    host.must(['docker', 'compose', '--project-directory', folder, '--file', `${folder}/docker-compose.yml`, ...args], {
      timeoutMs: 120_000,
      ...options,
    });
  const deployment: Deployment = {
    host,
    compose,
    cli: (...args) => host.must(['/usr/local/bin/proxmox-mcp', ...args], { timeoutMs: 120_000 }),
    async states() {
      const all = (await compose(['ps', '--all', '--format', 'json']))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      return Object.fromEntries(
        all
          .filter(({ Service }) => Service !== 'volumes' && Service !== 'temporal-schema')
          .map(({ Service, State, Health }) => [Service, `${State} ${Health}`.trim()]),
      );
    },
    url: `https://${host.address.host}`,
    ca: () => host.must(['docker', 'exec', 'mcp-reverse-proxy', 'cat', '/data/caddy/pki/authorities/local/root.crt']),
  };
  return deployment;
}

async function load(host: LabHost, images: readonly string[]): Promise<void> {
  const DOCKER_HOST = await ensureEngine();
  const script =
    'set -euo pipefail; name=$1; shift; docker save "$@" | docker exec --interactive "$name" docker load --quiet';
  const loaded = await run(['bash', '-c', script, 'bash', host.name, ...images], {
    env: { DOCKER_HOST },
    timeoutMs: 300_000,
  });
  if (loaded.exitCode !== 0) throw new Error(`The images could not be loaded: ${loaded.stderr}`);
}

/** What install.sh needs of the sources when the image is there. */
async function bringSources(host: LabHost): Promise<void> {
  const DOCKER_HOST = await ensureEngine();
  const script = `set -euo pipefail
    tar -C "$1" --owner=0 --group=0 -c install.sh deploy docker-compose.yml Dockerfile package.json |
      docker exec --interactive "$2" sh -euc 'mkdir -p /srv/sources; tar -C /srv/sources -x'`;
  const brought = await run(['bash', '-c', script, 'bash', root, host.name], { env: { DOCKER_HOST } });
  if (brought.exitCode !== 0) throw new Error(brought.stderr);
}
