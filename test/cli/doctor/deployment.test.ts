import { describe, expect, it } from 'vitest';
import { deploymentChecks, parseHostFindings, startIt } from '../../../src/cli/doctor/deployment.ts';

const run = async (checks: ReturnType<typeof deploymentChecks>) =>
  Promise.all(checks.map(async ({ check, run }) => ({ check, ...(await run(AbortSignal.timeout(1_000))) })));

describe('what doctor says of an installation', () => {
  it('is nothing where install.sh has made none', () => {
    expect(deploymentChecks({})).toEqual([]);
    expect(deploymentChecks({ PROXMOX_MCP_DEPLOYMENT: 'something' })).toEqual([]);
    expect(startIt({})).toContain('npm start');
  });

  it.each(['compose', 'systemd', 'container'])('is for root of the machine: %s', async (kind) => {
    const [found] = await run(deploymentChecks({ PROXMOX_MCP_DEPLOYMENT: kind }));
    expect(found).toMatchObject({ verdict: 'skipped', summary: expect.stringContaining('sudo proxmox-mcp doctor') });
    expect(startIt({ PROXMOX_MCP_DEPLOYMENT: kind })).toContain('systemctl start proxmox-mcp');
  });

  it('is what the machine found, and nothing that is no finding', async () => {
    const text =
      'ok\tDocker\tengine 26\t\nfailed\tPorts\tport 80 is taken\tStop it.\nwhatever\n\nstrange\ta\tb\tc\nfailed\t\tno name\n';
    expect(await run(deploymentChecks({ PROXMOX_MCP_DEPLOYMENT: 'compose', PROXMOX_MCP_HOST_FINDINGS: text }))).toEqual(
      [
        { check: 'Machine: Docker', verdict: 'ok', summary: 'engine 26' },
        { check: 'Machine: Ports', verdict: 'failed', summary: 'port 80 is taken', remedy: 'Stop it.' },
      ],
    );
    expect(parseHostFindings('')).toEqual([]);
  });
});
