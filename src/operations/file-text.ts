// Bytes of files in guests, as the agent takes and gives them, in the words of a run. Pure: there is no Node here.

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** A text as the bytes of its UTF-8. */
export function utf8(text: string): readonly number[] {
  return [...encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd')).matchAll(/%([0-9A-F]{2})|[^%]/g)].map(
    ([one, hex]) => (hex === undefined ? one.charCodeAt(0) : Number.parseInt(hex, 16)),
  );
}

/** Bytes in base64. */
export function base64(bytes: readonly number[]): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const [a = 0, b = 0, c = 0] = bytes.slice(at, at + 3);
    const all = (a << 16) | (b << 8) | c;
    const left = bytes.length - at;
    text += `${alphabet[all >> 18]}${alphabet[(all >> 12) & 63]}${left > 1 ? alphabet[(all >> 6) & 63] : '='}${left > 2 ? alphabet[all & 63] : '='}`;
  }
  return text;
}

/** What the agent has read: one character for each byte. */
export function bytesOf(content: string): readonly number[] {
  return [...content].map((character) => (character.codePointAt(0) ?? 0) & 255);
}

/** As text where it is UTF-8 without control characters, else in base64. */
export function fileText(bytes: readonly number[]): { readonly content: string; readonly encoding: 'utf8' | 'base64' } {
  try {
    const text = decodeURIComponent(bytes.map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what makes it no text
    if (!/[\u0000-\u0008\u000e-\u001a\u001c-\u001f]/.test(text)) return { content: text, encoding: 'utf8' };
  } catch {
    // It is no UTF-8.
  }
  return { content: base64(bytes), encoding: 'base64' };
}
