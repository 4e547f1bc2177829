/** What differs between two looks at the same thing, a line each: `memory: 2048 → 4096`. Pure: workflows call it, too. */
export function differencesOf(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): readonly string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) => {
    const was = Object.hasOwn(before, name) ? before[name] : undefined;
    const is = Object.hasOwn(after, name) ? after[name] : undefined;
    if (was === is) return [];
    return [`${name}: ${was === undefined ? 'new' : was} → ${is === undefined ? 'gone' : is}`];
  });
}

/**
 * Whether a field reads as it was asked for: the same, or with the parts of a text in another order, or with parts that
 * Proxmox put in itself (`virtio,bridge=vmbr0` reads as `virtio=BC:24:…,bridge=vmbr0`).
 */
export function readsAs(asked: string, is: string | undefined): boolean {
  if (is === undefined) return false;
  if (asked === is) return true;
  const parts = new Set(is.split(/[,;]/));
  const values = [...parts];
  return asked
    .split(/[,;]/)
    .every(
      (part) => parts.has(part) || values.some((value) => value.startsWith(`${part}=`) || value.endsWith(`=${part}`)),
    );
}
