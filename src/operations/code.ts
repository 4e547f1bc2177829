/** The parts of a one-time code: what it is found by, and what proves it. Anything else gives parts that nobody has. */
export function codeParts(code: string): { readonly id: string; readonly secret: string } {
  const [, id = 'none', secret = ''] = /^([A-Z2-7]{6})-?([A-Z2-7]{20})$/i.exec(code.trim()) ?? [];
  return { id: id.toUpperCase(), secret: secret.toUpperCase() };
}
