/** A deadline that moves on with what comes: for what may take any time as long as it goes on. */
export function progressing(stillMs: number, caller: AbortSignal) {
  const controller = new AbortController();
  let still = false;
  const end = () => {
    still = true;
    controller.abort();
  };
  let timer = setTimeout(end, stillMs);
  const giveUp = () => controller.abort();
  if (caller.aborted) giveUp();
  else caller.addEventListener('abort', giveUp, { once: true });
  return {
    /** Aborted when nothing has come for that long, or when the caller gives up. */
    signal: controller.signal,
    touch() {
      clearTimeout(timer);
      timer = setTimeout(end, stillMs);
    },
    /** Whether it was given up because nothing came. */
    isStill: () => still,
    clear() {
      clearTimeout(timer);
      caller.removeEventListener('abort', giveUp);
    },
  };
}
