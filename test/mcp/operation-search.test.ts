import { describe, expect, it } from 'vitest';
import { createOperationSearch } from '../../src/mcp/operation-search.ts';
import { catalogue } from '../../src/operations/catalogue.generated.ts';

const search = createOperationSearch(Object.values(catalogue));

/** What people ask of their guests, in their words, and which operations of the catalogue may be meant. */
const questions: readonly (readonly [string, ...string[]])[] = [
  ['take a snapshot before the upgrade', 'snapshot-guest'],
  ['go back to the snapshot of yesterday', 'roll-back-guest'],
  ['revert VM 100 to its checkpoint', 'roll-back-guest'],
  ['remove an old snapshot', 'delete-snapshot'],
  ['destroy container 105 with its disks', 'delete-guest'],
  ['delete a VM for good', 'delete-guest'],
  ['copy a VM', 'clone-guest'],
  ['deploy a new guest from my template', 'clone-guest'],
  ['make a new virtual machine', 'create-vm'],
  ['create an Ubuntu VM with cloud-init and my SSH key', 'create-vm'],
  ['install a VM from an ISO', 'create-vm'],
  ['create a new LXC container', 'create-container'],
  ['turn the VM into a golden image', 'convert-to-template'],
  ['make a template of VM 120', 'convert-to-template'],
  ['pause the VM', 'suspend-guest'],
  ['hibernate a virtual machine', 'suspend-guest'],
  ['let the paused VM go on', 'resume-guest'],
  ['unpause', 'resume-guest'],
  ['add a tag to a guest', 'label-guest'],
  ['rename the VM', 'label-guest'],
  ['put the container into a pool', 'label-guest'],
  ['change the notes of a VM', 'label-guest'],
  ['What changed on pve1 since Tuesday', 'compare-backups'],
  ['what is different on the host since yesterday', 'compare-backups'],
  ['which packages were upgraded since last week', 'compare-backups'],
  ['which files are in the backup', 'browse-backup'],
];

describe('search in the catalogue', () => {
  it.each(questions)('%s → %s', (question, ...right) => {
    const found = search.find(question).map(({ name }) => name);
    // As many as are described in full.
    expect(
      found.slice(0, 3).some((name) => right.includes(name)),
      `found ${found.slice(0, 5).join(', ')}`,
    ).toBe(true);
  });

  it('has the right one first for nearly all of them', () => {
    const wrong = questions.filter(([question, ...right]) => !right.includes(search.find(question)[0]?.name ?? ''));
    expect(wrong.length / questions.length, wrong.map(([question]) => question).join('; ')).toBeLessThan(0.2);
  });
});
