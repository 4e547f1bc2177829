import { catalogue } from '../../operations/catalogue.generated.ts';
import type { AnyTool } from '../define-tool.ts';
import { cancelRun } from './cancel-run.ts';
import { changeSchedule } from './change-schedule.ts';
import { getHost } from './get-host.ts';
import { getRun } from './get-run.ts';
import { getRunLog } from './get-run-log.ts';
import { listHosts } from './list-hosts.ts';
import { listRuns } from './list-runs.ts';
import { listSchedules } from './list-schedules.ts';
import { operationTool } from './operation-tool.ts';
import { pauseSchedule } from './pause-schedule.ts';
import { resumeSchedule } from './resume-schedule.ts';
import { triggerSchedule } from './trigger-schedule.ts';
import { waitForRun } from './wait-for-run.ts';

/** Every tool of the service: one per operation of the catalogue, and those that look after runs and schedules. */
export const allTools: readonly AnyTool[] = [
  ...Object.values(catalogue).map(operationTool),
  listHosts,
  getHost,
  listRuns,
  getRun,
  waitForRun,
  cancelRun,
  getRunLog,
  listSchedules,
  pauseSchedule,
  resumeSchedule,
  triggerSchedule,
  changeSchedule,
];
