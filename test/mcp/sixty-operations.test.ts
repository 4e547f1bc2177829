import { describe, expect, it } from 'vitest';
import { createOperationSearch } from '../../src/mcp/operation-search.ts';
import { createToolbox } from '../../src/mcp/toolbox.ts';
import { allTools } from '../../src/mcp/tools/all.ts';
import { catalogue } from '../../src/operations/catalogue.generated.ts';
import type { OperationDefinition } from '../../src/operations/definition.ts';
import { memoryService } from './lib/memory-service.ts';
import { sixtyOperations } from './lib/sixty-operations.ts';

/**
 * Characters of JSON for a token. There is no public tokenizer of the model that reads the definitions; JSON of English
 * and schemas has more than 3 of them for a token with those that are public, so that this counts too many.
 */
const charactersPerToken = 3;

const mostTokens = 9_000;

function tokensOf(operations: readonly OperationDefinition[]): number {
  const tools = createToolbox(allTools(operations), memoryService({ operations }));
  // Whoever may use everything is shown the most.
  const definitions = JSON.stringify({ tools: tools.list({ name: 'a', scope: 'admin' }) });
  return Math.ceil(definitions.length / charactersPerToken);
}

describe('what the definitions of all tools cost a conversation', () => {
  it.each([
    ['the catalogue', Object.values(catalogue)],
    ['sixty operations', sixtyOperations],
  ])(`is less than ${mostTokens} tokens with %s`, (name, operations) => {
    const tokens = tokensOf(operations);
    console.info(
      `tool definitions with ${name} (${operations.length}): ${tokens} tokens at ${charactersPerToken} characters`,
    );
    expect(tokens).toBeLessThan(mostTokens);
  });

  it('hardly grows with the operations that have no tool of their own', () => {
    const few = sixtyOperations.filter(({ exposure }) => exposure === 'direct');
    expect(tokensOf(sixtyOperations) - tokensOf(few)).toBeLessThan(10);
    expect(sixtyOperations).toHaveLength(60);
  });
});

/** What people ask, in their words, and what they mean. */
const questions: readonly (readonly [string, string])[] = [
  ['is the host healthy?', 'check-health'],
  ['run a backup of VM 100', 'back-up-guest'],
  ['back up the configuration and the docker volumes', 'back-up'],
  ['are there any pending updates', 'check-updates'],
  ['when do our certificates expire', 'check-certificates'],
  ['TLS certificate about to run out', 'check-certificates'],
  ['rotate the SSH keys', 'rotate-ssh-key'],
  ['the ssh key may be stolen', 'rotate-ssh-key'],
  ['replace the API token', 'rotate-api-token'],
  ['free some disk space, old logs and docker images', 'clean-up'],
  ['restart nginx', 'control-service'],
  ['stop a systemd unit', 'control-service'],
  ['reboot the virtual machine 105', 'control-guest'],
  ['reboot the node', 'reboot-host'],
  ['take a snapshot before the upgrade', 'snapshot-guest'],
  ['go back to the snapshot of yesterday', 'revert-snapshot'],
  ['upgrade Proxmox packages with apt', 'upgrade-system'],
  ['live migration to another node', 'migrate-guest'],
  ['which VMs are running and where', 'list-guests'],
  ['the disk of my VM is full, make it larger', 'resize-disk'],
  ['SMART errors on a disk', 'check-disks'],
  ['degraded zfs pool, exchange the failed disk', 'replace-disk'],
  ['do we have quorum', 'check-cluster'],
  ['who tried to log in with a wrong password', 'review-logs'],
  ['failed logins yesterday', 'review-logs'],
  ['which ports are open in the firewall', 'show-firewall'],
  ['add a firewall rule', 'change-firewall'],
  ['create a new LXC container', 'create-container'],
  ['make a new virtual machine', 'create-vm'],
  ['delete the container with its disks', 'delete-guest'],
  ['restore a guest from its backup', 'restore-guest'],
  ['can our backups really be restored? a recovery drill', 'test-recovery'],
  ['check the integrity of the archives', 'verify-backup'],
  ['change the VLAN of a bridge', 'change-network'],
  ['how much space is left on the storages', 'list-storage'],
  ['get an ISO image from a URL', 'download-image'],
  ['alert me on Slack when something fails', 'watch'],
  ['security audit', 'audit-security'],
  ['add a user and give him permissions', 'manage-users'],
  ['sysctl swappiness', 'tune-system'],
  ['put the VM under high availability', 'configure-ha'],
  ['docker compose pull', 'control-containers'],
];

describe('search', () => {
  const search = createOperationSearch(sixtyOperations);
  const find = (query: string) => search.find(query).map(({ name }) => name);

  it.each(questions)('%s → %s', (question, expected) => {
    // As many as are described in full.
    expect(find(question).slice(0, 3)).toContain(expected);
  });

  it('has the right one first for nearly all of them', () => {
    const first = questions.filter(([question, expected]) => find(question)[0] === expected);
    expect(first.length / questions.length).toBeGreaterThan(0.9);
  });

  it('finds an operation by its name first, however it is written', () => {
    for (const { name, title } of sixtyOperations) {
      for (const query of [name, name.replaceAll('-', '_'), title.toUpperCase()]) expect(find(query)[0]).toBe(name);
    }
  });

  it('takes plural and verb endings for the same word', () => {
    for (const [one, other] of [
      ['certificate', 'certificates'],
      ['policy', 'policies'],
      ['restarting', 'restart'],
      ['stopped', 'stop'],
      ['disk', 'disks'],
      ['switches', 'switch'],
    ] as const)
      expect(find(one)).toEqual(find(other));
  });

  it('leaves out what has hardly more than one common word with the query', () => {
    expect(find('when do our certificates expire').length).toBeLessThan(5);
    expect(find('check-certificates')).toEqual(['check-certificates']);
  });

  it('finds by the beginning of a word, and nothing for words that are nowhere', () => {
    expect(find('cert')).toContain('check-certificates');
    expect(find('firew')[0]).toMatch(/firewall$/);
    expect(find('what can you do for me')).toEqual([]);
    expect(find('xylophone')).toEqual([]);
  });
});
