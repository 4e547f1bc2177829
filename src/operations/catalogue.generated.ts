// Made by `npm run generate` from the files of this folder. Don't edit.
import { backUp } from './back-up.ts';
import { checkHealth } from './check-health.ts';
import { controlService } from './control-service.ts';
import type { OperationDefinition } from './definition.ts';

/** Every operation, by name, with its own types. */
const typed = {
  'back-up': backUp,
  'check-health': checkHealth,
  'control-service': controlService,
};

export type OperationName = keyof typeof typed;

/** Every operation, by name. */
export const catalogue: Readonly<Record<OperationName, OperationDefinition>> = typed;
