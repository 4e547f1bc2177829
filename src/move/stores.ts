import { fileStores } from './files.ts';
import { ledgerStore } from './ledger.ts';
import { lockStore } from './locks.ts';
import { noticeStore } from './notices.ts';
import { runStore } from './runs.ts';
import { scheduleStore } from './schedules.ts';
import type { MoveStore } from './store.ts';
import { switchStore } from './switch.ts';

/**
 * Everything that comes along, in the order in which it is brought: what judges and records first, what starts runs last. A
 * store that is added later is one more line. Exported are those of the server first, because that runs only as long as
 * the old service does.
 */
export const moveStores: readonly MoveStore[] = [
  ledgerStore,
  ...fileStores,
  runStore,
  lockStore,
  switchStore,
  noticeStore,
  scheduleStore,
];
