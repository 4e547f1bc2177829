/** Into so many parts a time is cut. */
const parts = 4;

/**
 * Waits for `ms` of silence of somebody else, and returns what ends the wait. Unlike a timer of that length, it doesn't
 * take our own sleep for their silence: a process that was stopped or busy runs its timers before it reads what came
 * meanwhile. However long it was away, that counts as one part, and the answer is read in the next one.
 */
export function awakeTimeout(ms: number, passed: () => void): () => void {
  let left = parts;
  const timer = setInterval(() => {
    if (--left > 0) return;
    clearInterval(timer);
    passed();
  }, ms / parts);
  return () => clearInterval(timer);
}
