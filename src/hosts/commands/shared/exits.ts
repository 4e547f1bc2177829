import type { ExitMeaning } from '../command.ts';

/** Of scripts that end with `stop 9`: what was made isn't what it is to be. */
export const unverified: ExitMeaning = { code: 'verification-failed' };
