import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Sshd } from '../../lab/sshd.ts';
import { runProgram } from '../lib/openssh.ts';

export const ansibleVersion = '2.19.14';

/**
 * Runs each command as one raw task, over 50 forks with pipelining and connections that persist. Its files are below
 * the server's folder. Throws when Ansible can't be had.
 */
export async function prepareAnsible(
  sshd: Sshd,
): Promise<(commands: readonly string[], timeoutMs: number) => Promise<void>> {
  const program = await installAnsible();
  const { ssh, folder, ports } = sshd;
  const inventory = join(folder, 'inventory.ini');
  const settings = `ansible_host=${ssh.host} ansible_user=${ssh.user} ansible_ssh_private_key_file=${ssh.keyPath}`;
  await writeFile(inventory, `${ports.map((port) => `host-${port} ansible_port=${port} ${settings}`).join('\n')}\n`);
  const playbook = join(folder, 'playbook.json');
  const environment = {
    ANSIBLE_PIPELINING: 'True',
    ANSIBLE_RETRY_FILES_ENABLED: 'False',
    ANSIBLE_SSH_ARGS: `-F none -o ControlMaster=auto -o ControlPersist=180 -o UserKnownHostsFile=${ssh.knownHostsPath}`,
    ANSIBLE_SSH_CONTROL_PATH_DIR: join(folder, 'cp'),
    ANSIBLE_HOME: join(folder, 'ansible'),
    ANSIBLE_LOCAL_TEMP: join(folder, 'ansible', 'tmp'),
  };
  return async (commands, timeoutMs) => {
    const tasks = commands.map((command) => ({ raw: command }));
    await writeFile(playbook, JSON.stringify([{ hosts: 'all', gather_facts: false, tasks }]));
    await runProgram(program, ['-f', '50', '-i', inventory, playbook], { environment, timeoutMs });
  };
}

/** Ansible from PyPI, in the project's cache. */
async function installAnsible(): Promise<string> {
  const folder = resolve('.cache', `ansible-${ansibleVersion}`);
  const program = join(folder, 'bin/ansible-playbook');
  if (existsSync(program)) return program;
  try {
    execFileSync('python3', ['-m', 'venv', folder], { stdio: 'pipe', timeout: 60_000 });
    const pip = ['-q', 'install', `ansible-core==${ansibleVersion}`];
    execFileSync(join(folder, 'bin/pip'), pip, { stdio: 'pipe', timeout: 120_000 });
    return program;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw new Error(
      `Ansible can't be had from PyPI (${error instanceof Error ? error.message.split('\n')[0] : error})`,
    );
  }
}
