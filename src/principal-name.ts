import { z } from 'zod';

/** How people and tokens are named: 1 to 64 letters, digits and `. _ -`, starting with a letter or digit. */
export const principalName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
