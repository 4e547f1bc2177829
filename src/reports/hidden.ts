/**
 * Where a character that isn't to be seen belongs to what is written, so that the text would be another one without it:
 * emoji joined of several or shown in colour, keycaps, three flags, joiners within words of the scripts that have them,
 * variants of Chinese characters and Mongolian letters. One each, behind what it belongs to.
 */
const belonging = [
  String.raw`(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])\u200d(?=\p{Extended_Pictographic})`,
  String.raw`(?<=\p{Extended_Pictographic})[\ufe0e\ufe0f]`,
  String.raw`(?<=[0-9#*])\ufe0f(?=\u20e3)`,
  // England, Scotland and Wales: their letters as tags behind a black flag.
  String.raw`(?<=\u{1f3f4})\u{e0067}\u{e0062}(?:\u{e0065}\u{e006e}\u{e0067}|\u{e0073}\u{e0063}\u{e0074}|\u{e0077}\u{e006c}\u{e0073})\u{e007f}`,
  String.raw`(?<=[${['Arab', 'Syrc', 'Deva', 'Beng', 'Guru', 'Gujr', 'Orya', 'Taml', 'Telu', 'Knda', 'Mlym', 'Sinh']
    .map((script) => `\\p{scx=${script}}`)
    .join('')}])[\u200c\u200d]`,
  String.raw`(?<=\p{sc=Han})[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]`,
  String.raw`(?<=\p{sc=Mong})[\u180b-\u180d\u180f]`,
];

/**
 * C0 but tab and line feed, C1, and what reorders or hides text: everything that Unicode says isn't to be seen (zero
 * width, bidirectional controls, variation selectors, tags, soft hyphens, fillers), line and paragraph separators,
 * interlinear annotations, the blank Braille pattern, halves of characters.
 */
const hidden = String.raw`[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2800\ufff9-\ufffb\p{Default_Ignorable_Code_Point}\p{Cs}]`;

const kept = new RegExp(`${belonging.join('|')}|(${hidden})\\1*`, 'gu');

/** Nearly every text is of this kind and has nothing to be looked for, which takes long. */
const plain = /^[\t\n\u0020-\u007e]*$/;

/** So many of the same in a row are written out; more are counted. */
const writtenOut = 3;

/**
 * A text with its characters that can't be seen, or that turn or hide others, written as what they are: `\u{202e}`,
 * and many of one kind as `\u{0}×4096`. What belongs to emoji and to the words of a script stays.
 */
export function showHidden(text: string): string {
  if (plain.test(text)) return text;
  return text.replace(kept, (run: string, character: string | undefined) => {
    if (character === undefined) return run;
    const written = `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
    const count = run.length / character.length;
    return count > writtenOut ? `${written}×${count}` : written.repeat(count);
  });
}

/** Marks that take no room of their own, piled upon one character: more would cover the lines above and below it. */
const piledMarks = /([\p{Mn}\p{Me}]{3})([\p{Mn}\p{Me}]+)/gu;

/** A text whose characters carry at most three such marks each, as many as a language piles up. */
export function boundMarks(text: string): string {
  if (plain.test(text)) return text;
  return text.replace(piledMarks, '$1');
}

/** JSON that says the same with everything that {@link showHidden} and {@link boundMarks} change as JSON's own escapes. */
export function escapeHiddenInJson(json: string): string {
  if (plain.test(json)) return json;
  const escaped = (characters: string) =>
    Array.from({ length: characters.length }, (_, at) => {
      const unit = characters.charCodeAt(at).toString(16).padStart(4, '0');
      return `\\u${unit}`;
    }).join('');
  return json
    .replace(kept, (run: string, character: string | undefined) => (character === undefined ? run : escaped(run)))
    .replace(piledMarks, (_, first: string, more: string) => `${first}${escaped(more)}`);
}
