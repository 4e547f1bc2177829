import { describe, expect, it } from 'vitest';
import { adaptShipped, whyNoCaddy } from '../support/caddy.ts';

interface Adapted {
  readonly apps: {
    readonly tls: {
      readonly automation: {
        readonly policies: readonly {
          readonly subjects: readonly string[];
          readonly issuers: readonly { readonly module: string; readonly email?: string }[];
        }[];
      };
    };
    readonly http: { readonly servers: Readonly<Record<string, { readonly listen: readonly string[] }>> };
  };
}

describe.skipIf(whyNoCaddy())('who signs for a name', () => {
  /** By name the CAs that Caddy asks. */
  async function issuers(settings: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string[]>>> {
    const { apps } = JSON.parse(await adaptShipped(settings)) as Adapted;
    return Object.fromEntries(
      apps.tls.automation.policies.flatMap(({ subjects, issuers }) =>
        subjects.map((subject) => [subject, [...new Set(issuers.map(({ module }) => module))]]),
      ),
    );
  }
  const own = { localhost: ['internal'], '127.0.0.1': ['internal'] };

  it('Caddy itself, where nothing is set', async () => {
    expect(await issuers({})).toEqual(own);
  });

  it('a public CA for the domain alone: none would for localhost, to which http on this machine is sent on', async () => {
    const settings = { MCP_DOMAIN: 'mcp.example.org', ACME_EMAIL: 'admin@example.org' };
    expect(await issuers(settings)).toEqual({ ...own, 'mcp.example.org': ['acme'] });
  });

  it.each([
    ['mcp.lan', { MCP_DOMAIN: 'mcp.lan' }],
    ['192.168.1.10', { MCP_PUBLIC_URL: 'https://192.168.1.10' }],
    ['localhost', { MCP_PUBLIC_URL: 'https://localhost:8443' }],
  ])('Caddy itself, for %s too', async (name, settings) => {
    expect(await issuers(settings)).toEqual({ ...own, [name]: ['internal'] });
  });
});
