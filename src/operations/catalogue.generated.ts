// Made by `npm run generate` from the files of this folder. Don't edit.
import { backUp } from './back-up.ts';
import { checkHealth } from './check-health.ts';

/** Every operation, by name. */
export const catalogue = {
  'back-up': backUp,
  'check-health': checkHealth,
} as const;

export type OperationName = keyof typeof catalogue;
