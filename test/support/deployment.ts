import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ensureEngine, run } from '../../lab/engine.ts';
import type { LabHost } from '../../lab/hosts/lab-host.ts';
import { ensureImages } from '../../lab/images.ts';
import { defaultLayout } from '../../src/hosts/helper/default-layout.ts';
import { generateHelper } from '../../src/hosts/helper/generate-helper.ts';

const root = join(import.meta.dirname, '../..');
const folder = defaultLayout.installation;

/** The shipped compose project on a lab host that has Docker, managing that very host as `pve1`. */
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
  const images = await ensureImages('app', 'postgres', 'caddy', 'temporal', 'temporal-ui');
  const [, tag = ''] = images.app.split(':');
  const limits = ['MCP', 'WORKER', 'LEDGER', 'CADDY', 'POSTGRES', 'TEMPORAL', 'TEMPORAL_UI'];
  return {
    IMAGE_TAG: tag,
    CADDY_IMAGE: images.caddy,
    POSTGRES_IMAGE: images.postgres,
    TEMPORAL_IMAGE: images.temporal,
    TEMPORAL_ADMIN_TOOLS_IMAGE: images.temporal,
    TEMPORAL_UI_IMAGE: images['temporal-ui'],
    ...Object.fromEntries(limits.map((name) => [`${name}_CPUS`, '0'])),
    LOG_LEVEL: 'INFO',
    SSH_TARGET: 'pve1',
    SSH_HOST: address,
    SSH_USER: 'claude-user',
    SSH_PORT: '22',
    SSH_KEY_PATH: '/app/keys/claude_proxmox_key',
    MCP_HOST: '0.0.0.0',
    MCP_PORT: '8080',
    PUBLISH_ADDRESS: '0.0.0.0',
    MCP_PUBLIC_URL: `https://${address}`,
  };
}

/** Lays the installation's folder, loads the images, and starts the project; resolves when everything is healthy. */
export async function deploy(host: LabHost): Promise<Deployment> {
  const env = await lines(host.address.host);
  const images = [
    `proxmox-mcp-server:${env.IMAGE_TAG}`,
    ...Object.entries(env).flatMap(([key, value]) => (key.endsWith('_IMAGE') ? [value] : [])),
  ];
  await load(host, [...new Set(images)]);
  await layFolder(host, env);
  // What an administrator's `host install` does.
  await host.writeFile(defaultLayout.helper, generateHelper(defaultLayout), { mode: 0o755 });
  await host.writeFile(defaultLayout.sudoersFile, `claude-user ALL=(root) NOPASSWD: ${defaultLayout.helper}\n`, {
    mode: 0o440,
  });

  const compose: Deployment['compose'] = (args, options = {}) =>
    host.must(['docker', 'compose', '--project-directory', folder, '--file', `${folder}/docker-compose.yml`, ...args], {
      timeoutMs: 120_000,
      ...options,
    });
  const deployment: Deployment = {
    host,
    compose,
    cli: (...args) => compose(['run', '--rm', '--no-TTY', 'cli', ...args]),
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
  await deployment.cli('host', 'add', 'pve1', '--fingerprint', await fingerprint(host));
  await compose(['up', '--detach', '--wait', '--wait-timeout', '240'], { timeoutMs: 300_000 });
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

/** As install.sh lays it: the files of the repository, `.env`, keys, and secrets, each for the user of its one container. */
async function layFolder(host: LabHost, env: Readonly<Record<string, string>>): Promise<void> {
  const DOCKER_HOST = await ensureEngine();
  const script = `set -euo pipefail
    tar -C "$1" --owner=0 --group=0 -c docker-compose.yml -C deploy caddy postgres temporal |
      docker exec --interactive "$2" sh -euc 'mkdir -p ${folder}; tar -C ${folder} -x'`;
  const laid = await run(['bash', '-c', script, 'bash', root, host.name], { env: { DOCKER_HOST } });
  if (laid.exitCode !== 0) throw new Error(laid.stderr);
  await host.writeFile(
    `${folder}/.env`,
    Object.entries(env)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
    { mode: 0o640 },
  );
  await host.writeFile(`${folder}/keys/claude_proxmox_key`, host.serviceKey, { mode: 0o600 });
  const password = randomBytes(24).toString('base64url');
  for (const name of ['postgres_password', 'temporal_password']) {
    await host.writeFile(`${folder}/secrets/${name}`, password, { mode: 0o600 });
  }
  await host.must([
    'sh',
    '-euc',
    `cd ${folder}; mkdir -p keys/mcp config logs
     chown 0:10000 .env; chown 10002:10000 keys keys/claude_proxmox_key; chown 10001:10000 keys/mcp; chmod 0750 keys; chmod 0700 keys/mcp
     chmod 0711 secrets; chown 999:999 secrets/postgres_password; chown 1000:1000 secrets/temporal_password`,
  ]);
}

async function fingerprint(host: LabHost): Promise<string> {
  const said = await host.must(['sh', '-c', 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub']);
  return said.split(' ')[1] ?? '';
}
