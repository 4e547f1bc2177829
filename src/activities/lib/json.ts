/** What a command printed as JSON; `undefined` when it isn't JSON, so that a schema can refuse it. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
