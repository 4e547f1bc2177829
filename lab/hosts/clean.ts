// Removes what test processes that died left behind: `node dist/lab/hosts/clean.js`; with --all also what living ones use,
// the images, and the engine if the lab started it.
import { readdirSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { docker, run, tryDocker } from '../engine.ts';
import { removeFolderNow } from './keys.ts';
import { leaveNetwork } from './network.ts';
import { label, owner } from './owner.ts';

/** Returns the names of what it removed. */
export async function clean({ all = false } = {}): Promise<string[]> {
  const removed: string[] = [];
  const lines = await docker([
    ...['ps', '--all', '--filter', `label=${label}.owner`],
    ...['--format', `{{.Names}} {{.Label "${label}.owner"}}`],
  ]);
  for (const [name = '', owned = ''] of lines.split('\n').map((line) => line.split(' '))) {
    if (name === '' || (!all && owner(Number(owned.split('-')[0])) === owned)) continue;
    await docker(['rm', '--force', '--volumes', name]);
    removed.push(name);
  }
  for (const folder of readdirSync(tmpdir())) {
    // proxmox-mcp-lab-PID-…; a folder is removed after its host, so one without a host or a process is nobody's.
    const [, pid = ''] = /^proxmox-mcp-lab-(\d+)-/.exec(folder) ?? [];
    if (pid === '' || (!all && owner(Number(pid)) !== undefined)) continue;
    removeFolderNow(join(tmpdir(), folder));
    removed.push(join(tmpdir(), folder));
  }
  await leaveNetwork();
  return removed;
}

/** The images, the engine that the lab started, and its cache. */
async function cleanAll(): Promise<void> {
  const images = await docker(['image', 'ls', '--quiet', '--filter', `label=${label}=1`]);
  if (images !== '') await tryDocker(['image', 'rm', '--force', ...images.split('\n')]);
  await run(['bash', fileURLToPath(new URL('../engine.sh', import.meta.url)), 'stop']);
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  rmSync(process.env.PROXMOX_MCP_LAB_CACHE ?? join(cache, 'proxmox-mcp', 'lab'), { recursive: true, force: true });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const all = process.argv.includes('--all');
  for (const name of await clean({ all })) console.log(`removed ${name}`);
  if (all) await cleanAll();
}
