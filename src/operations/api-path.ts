/**
 * The segments of a path of the Proxmox API as somebody writes it: `/nodes/pve1/qemu/100/config`, with or without
 * `/api2/json`. A slash within a value counts as one between values, also as `%2F`: so does pveproxy read it. Undefined for
 * what is no path.
 */
export function segmentsOf(path: string): readonly string[] | undefined {
  const plain = path.trim().replace(/^\/api2\/(json|extjs)(?=\/|$)/, '');
  if (!plain.startsWith('/') || plain.length > 500) return undefined;
  const segments = plain.slice(1).replace(/\/$/, '').replaceAll(/%2f/gi, '/').split('/');
  const isPlain = (segment: string) => segment !== '.' && segment !== '..' && /^[^\s?#%\\\p{C}]+$/u.test(segment);
  return segments.every(isPlain) ? segments : undefined;
}

/** The one way to write a path: what is shown, compared and kept. */
export function canonicalPath(path: string): string {
  return `/${(segmentsOf(path) ?? []).join('/')}`;
}

/** The guest that a path is about: `/nodes/pve1/qemu/100/…` → 100. */
export function guestIn(
  path: string,
): { readonly node: string; readonly type: 'qemu' | 'lxc'; readonly vmid: number } | undefined {
  const [nodes, node, type, vmid] = segmentsOf(path) ?? [];
  if (nodes !== 'nodes' || node === undefined || vmid === undefined || !/^[1-9]\d{2,8}$/.test(vmid)) return undefined;
  return type === 'qemu' || type === 'lxc' ? { node, type, vmid: Number(vmid) } : undefined;
}

/** The node that a path is about: `/nodes/pve1/…` → pve1. */
export function nodeIn(path: string): string | undefined {
  const [nodes, node] = segmentsOf(path) ?? [];
  return nodes === 'nodes' ? node : undefined;
}
