// What an API or a guest said, inside of our own sentences: told apart from them, on one line, and bounded. How hidden
// characters are shown is the report's matter.

const longest = 300;

/** A value as it stands where it is short and plain; else in quotes, so that nobody takes it for ours. */
export function said(value: string | number | boolean | undefined, max = longest): string {
  const text = String(value ?? '');
  if (text.length <= max && /^[\x21-\x7e]+$/.test(text) && !text.startsWith('"')) return text;
  const kept = text.length <= max ? text : text.slice(0, max).replace(/[\ud800-\udbff]$/, '');
  const rest = text.length - kept.length;
  return `${JSON.stringify(kept)}${rest > 0 ? ` … (${rest} more characters)` : ''}`;
}

/** Some of many, in one line: `scsi0, scsi1 and 3 more`. */
export function some(values: readonly string[], max = 10): string {
  if (values.length === 0) return 'none';
  const shown = values.slice(0, max).map((value) => said(value, 80));
  return `${shown.join(', ')}${values.length > max ? ` and ${values.length - max} more` : ''}`;
}
