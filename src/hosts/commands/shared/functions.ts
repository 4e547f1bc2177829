import type { ShellFunctions } from '../command.ts';

/** `stop CODE WHY` */
export const stop: ShellFunctions = new URL('./stop.sh', import.meta.url);
