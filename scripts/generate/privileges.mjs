import { createHash } from 'node:crypto';

export const when = 'after-build';

/** The host helper and the sudoers policy for the guide's layout, and what they allow as a page. */
export async function generate() {
  // Not above: this file is loaded before there is a build, too.
  const built = (name) => import(`../../dist/src/hosts/helper/${name}.js`);
  const { defaultLayout } = await built('default-layout');
  const helper = (await built('generate-helper')).generateHelper(defaultLayout);
  const helperDigest = createHash('sha256').update(helper).digest('hex');
  const { generateSudoers } = await built('generate-sudoers');
  return {
    'sudoers/proxmox-mcp-helper': helper,
    'sudoers/proxmox-mcp': generateSudoers(defaultLayout, { sudoVersion: '1.9.10', helperDigest }),
    'docs/privileges.md': (await built('generate-docs')).generatePrivilegeDocs(),
  };
}
