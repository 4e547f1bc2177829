import type { IncomingMessage } from 'node:http';
import { scopes } from '../../tokens/token.ts';
import type { TokenVerifier } from '../dependencies.ts';
import type { Caller } from '../scopes.ts';

/** Where the protected resource's metadata is (RFC 9728), for a resource at `/api/mcp`. */
export const metadataPath = '/.well-known/oauth-protected-resource';

/** Who sends this request, by its bearer token; undefined: nobody we know. */
export async function authenticate(request: IncomingMessage, tokens: TokenVerifier): Promise<Caller | undefined> {
  const token = /^Bearer +([A-Za-z0-9._~+/-]{1,512}=*) *$/i.exec(request.headers.authorization ?? '')?.[1];
  return token === undefined ? undefined : tokens.verify(token);
}

/** `WWW-Authenticate` of a 401: says by `error` whether a token came at all (RFC 6750 §3). */
export function challenge(publicUrl: string, tokenCame: boolean): string {
  const error = tokenCame
    ? ', error="invalid_token", error_description="The token is unknown, revoked or expired"'
    : '';
  return `Bearer realm="proxmox-mcp"${error}, resource_metadata="${publicUrl}${metadataPath}/api/mcp"`;
}

/** `WWW-Authenticate` of a 403. */
export function scopeChallenge(publicUrl: string, scope: string): string {
  return `Bearer realm="proxmox-mcp", error="insufficient_scope", scope="${scope}", resource_metadata="${publicUrl}${metadataPath}/api/mcp"`;
}

/**
 * The metadata document. It names no authorization server, because there is none: tokens are made by an administrator
 * with `proxmox-mcp token`, and clients are given theirs.
 */
export function protectedResource(publicUrl: string): Record<string, unknown> {
  return {
    resource: `${publicUrl}/api/mcp`,
    resource_name: 'Proxmox MCP',
    bearer_methods_supported: ['header'],
    scopes_supported: scopes,
    resource_documentation: `${publicUrl}/tools`,
  };
}
