import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanLine, cleanText } from '../../src/reports/clean.ts';
import { escapeHiddenInJson } from '../../src/reports/hidden.ts';

describe('what is hidden is shown as what it is', () => {
  it.each([
    ['a turned direction', 'report\u202etxt.exe', String.raw`report\u{202e}txt.exe`],
    ['isolates and marks of direction', '\u2066a\u2069\u200e\u061c', String.raw`\u{2066}a\u{2069}\u{200e}\u{61c}`],
    ['no width', 'pass\u200bword\u2060\ufeff', String.raw`pass\u{200b}word\u{2060}\u{feff}`],
    ['joiners between Latin letters', 'a\u200db\u200cc', String.raw`a\u{200d}b\u{200c}c`],
    ['tags', 'hi\u{e0068}\u{e0069}', String.raw`hi\u{e0068}\u{e0069}`],
    ['tags behind a flag that none has', '\u{1f3f4}\u{e0067}\u{e007f}', '\u{1f3f4}\\u{e0067}\\u{e007f}'],
    ['variation selectors behind letters', 'a\ufe0f\u{e0100}', String.raw`a\u{fe0f}\u{e0100}`],
    ['more than one variation selector', '❤\ufe0f\ufe0e', '❤\ufe0f\\u{fe0e}'],
    ['soft hyphens', 'pass\u00adword', String.raw`pass\u{ad}word`],
    ['Hangul fillers', '\u3164\uffa0\u115f', String.raw`\u{3164}\u{ffa0}\u{115f}`],
    ['blank Braille', 'a\u2800b', String.raw`a\u{2800}b`],
    ['escape sequences', '\u001b[2Jx\u001b]0;title\u0007', String.raw`\u{1b}[2Jx\u{1b}]0;title\u{7}`],
    ['C1', '\u009b31m\u0085', String.raw`\u{9b}31m\u{85}`],
    ['other control characters', 'a\u0000b\u007f\u000b', String.raw`a\u{0}b\u{7f}\u{b}`],
    ['other ends of lines', 'a\u2028b\u2029c', String.raw`a\u{2028}b\u{2029}c`],
    ['halves of characters', 'a\ud83d', String.raw`a\u{d83d}`],
    ['many of one kind', `a${'\u0000'.repeat(4_096)}b`, String.raw`a\u{0}×4096b`],
  ])('%s', (_, text, shown) => {
    expect(cleanText(text)).toBe(shown);
    expect(cleanLine(text, 1_000)).toBe(shown);
    expect(cleanText(shown), 'once').toBe(shown);
  });

  it('in JSON by its own escapes, so that it says the same', () => {
    const value = { 'a\u202e': `\u001b[31m\u009b\u{e0041}🏳️‍🌈 ${'e'}${'\u0301'.repeat(9)}` };
    const json = escapeHiddenInJson(JSON.stringify(value));
    expect(json).toContain(String.raw`\u202e`);
    expect(json).toContain(String.raw`\udb40\udc41🏳️‍🌈`);
    expect(json).not.toMatch(/\u202e|\u009b|\u0301{4}/u);
    expect(JSON.parse(json)).toEqual(value);
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        (text) => JSON.parse(escapeHiddenInJson(JSON.stringify(text))) === text,
      ),
    );
  });
});

it.each([
  ['emoji joined of several', '👩‍👩‍👧‍👦 🏳️‍🌈 👩🏽‍💻 ❤️‍🔥 🧑‍⚕️'],
  ['emoji in colour, keycaps, flags', '❤️ ⚠️ 1️⃣ #️⃣ 🇩🇪 🏴󠁧󠁢󠁳󠁣󠁴󠁿'],
  ['Arabic', 'مُحَمَّدٌ رسول'],
  ['Persian', 'می‌خواهم'],
  ['Hebrew', 'שָׁלוֹם עוֹלָם'],
  ['Hindi', 'क्‍ष हिन्दी में क्षत्रिय'],
  ['Bengali, Sinhala, Malayalam', 'র‍্যাব ශ්‍රී ലങ്കൻ ന്‍'],
  ['Burmese', 'လျှော့ကြောင့်'],
  ['Thai', 'ที่นี่'],
  ['Vietnamese, composed', 'Tiếng Việt ở Huế'],
  ['Vietnamese, of marks', 'Tiếng Việt ở Huế'.normalize('NFD')],
  ['Japanese with a variant', '葛\u{e0100}城'],
  ['tabs and lines', 'a\tb\nc'],
])('%s stays as it is', (_, text) => {
  expect(cleanText(text)).toBe(text);
  expect(escapeHiddenInJson(text)).toBe(text);
});

it.each([
  ['one mark', `Z${'\u0301'.repeat(500)}algo`],
  ['many marks', `Z${'\u0300\u0316\u0489\u20dd\u1dc0'.repeat(80)}algo`],
  ['marks with others in between that are not seen', `Z${'\u0301\u034f\u0301'.repeat(100)}algo`],
])('%s piled up are no more than three', (_, text) => {
  for (const shown of [cleanText(text), cleanLine(text, 10_000)]) {
    expect(shown).not.toMatch(/[\p{Mn}\p{Me}]{4}/u);
    expect(shown).toMatch(/^Z[\p{Mn}\p{Me}]{1,3}(?!\p{M})/u);
    expect(shown.endsWith('algo')).toBe(true);
  }
});

it('is cut at characters', () => {
  expect(cleanText('ab👩‍👧', 4)).toBe('ab👩 … (4 more characters)'.replace('4', String('ab👩‍👧'.length - 4)));
  expect(cleanText('abc👩', 4)).toBe('abc … (1 more characters)');
  expect(cleanText('👩‍👧', 3)).toBe('👩 … (2 more characters)');
});
