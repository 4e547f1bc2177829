import type { OperationDefinition } from '../../operations/definition.ts';
import type { AnyTool } from '../define-tool.ts';
import { apiTools } from './api-tools.ts';
import { cancelRun } from './cancel-run.ts';
import { decideRun } from './decide-run.ts';
import { getGuestTool } from './get-guest.ts';
import { getRun } from './get-run.ts';
import { getRunLog } from './get-run-log.ts';
import { hostTools } from './host-tools.ts';
import { listGuestsTool } from './list-guests.ts';
import { listRuns } from './list-runs.ts';
import { operationTool, startTools } from './operation-tools.ts';
import { ownScheduleTools } from './own-schedule-tools.ts';
import { scheduleTools } from './schedule-tools.ts';
import { searchLedger } from './search-ledger.ts';
import { searchOperationsTool } from './search-operations.ts';
import { stopChanges } from './stop-changes.ts';
import { undoRun } from './undo-run.ts';
import { waitForRunTool } from './wait-for-run.ts';

/**
 * Every tool of the service: one for each operation that is asked for daily, those that find and start the others, and
 * those that look after hosts, runs, schedules, the ledger and the kill switch. Together they cost every conversation less than 9,000 tokens, however
 * many operations there are; a test holds them to it.
 */
export function allTools(operations: readonly OperationDefinition[]): readonly AnyTool[] {
  return [
    ...operations.filter(({ exposure }) => exposure === 'direct').map(operationTool),
    searchOperationsTool(operations),
    ...Object.values(startTools),
    ...hostTools,
    listGuestsTool,
    getGuestTool,
    ...apiTools,
    listRuns,
    getRun,
    waitForRunTool(),
    decideRun,
    cancelRun,
    undoRun,
    getRunLog,
    searchLedger,
    stopChanges,
    ...scheduleTools,
    ...ownScheduleTools,
  ];
}
