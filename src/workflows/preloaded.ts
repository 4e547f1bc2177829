import { z } from 'zod';

// zod sets its defaults with the first schemas, and can't any more once it is frozen.
z.object({ names: z.array(z.string()) }).safeParse({});

/**
 * What all runs of a worker share: loaded once, before the first run, and frozen. Everything else that the workflows
 * import is loaded again for each run; zod alone would take half of what the start of a run takes.
 */
export { z };
