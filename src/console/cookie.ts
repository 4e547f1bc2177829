import { sessionMs } from './sessions.ts';

/**
 * The cookie that holds a session's id. Scripts can't read it and other sites' pages can't send it; where the browser comes by
 * https it goes over nothing else, and no name above can set it. Of cookies browsers tell hosts apart, and no ports: it is
 * sent to every port of the host's name.
 *
 * @param isSecure whether the browser comes by https
 */
export function sessionCookie(isSecure: boolean) {
  const name = isSecure ? '__Host-proxmox-mcp' : 'proxmox-mcp';
  const attributes = `Path=/; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
  return {
    /** The id in a request's `Cookie` header. */
    read(header: string | undefined): string | undefined {
      return header
        ?.split(';')
        .map((pair) => pair.trim().split('='))
        .find(([key]) => key === name)?.[1];
    },
    set: (id: string) => `${name}=${id}; Max-Age=${sessionMs / 1_000}; ${attributes}`,
    clear: `${name}=; Max-Age=0; ${attributes}`,
  };
}
