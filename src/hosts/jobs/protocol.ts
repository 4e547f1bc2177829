import { ServiceError } from '../../errors.ts';
import type { CommandResult } from '../execution/executor.ts';
import type { JobListing, JobState, JobSummary } from '../host.ts';

/** What `job-status` answers. */
export interface JobStatus {
  readonly state: JobState;
  readonly exitCode?: number;
  readonly beganMs?: number;
  readonly endedMs?: number;
  readonly stdout: JobOutput;
  readonly stderr: JobOutput;
}

export interface JobOutput {
  /** Bytes on the host's disk. */
  readonly kept: number;
  /** Bytes that the job wrote. */
  readonly total: number;
  /** From the offset that was asked for. */
  readonly chunk: Buffer;
}

const states: readonly string[] = [
  'absent',
  'starting',
  'running',
  'ended',
  'cancelled',
  'timeout',
  'terminated',
  'lost',
  'fenced-out',
  'busy',
  'changes-stopped',
  'not-signed',
] satisfies readonly JobState[];

/** Reads the answer of the helper's `job-status`. Throws `unexpected-answer`. */
export function parseStatus(host: string, text: string): JobStatus {
  const [state, stdout, stderr] = text.split('\n');
  return { ...parseState(host, state ?? ''), stdout: parseOutput(host, stdout), stderr: parseOutput(host, stderr) };
}

/** Reads its `job-cancel`. */
export function parseCancel(host: string, text: string): { state: JobState; left: readonly number[] } {
  const [state = '', left = ''] = text.split('\n');
  if (!/^left( \d{1,10})* ?$/.test(left)) throw unexpected(host);
  return { state: parseState(host, state).state, left: left.split(' ').slice(1).filter(Boolean).map(Number) };
}

/** What the helper makes. Another id is made up by the host, and would be shown to a person in a command to type. */
const idPattern = /^[a-z0-9][a-z0-9-]{0,99}$/;
const runPattern = /^(-|[A-Za-z0-9][A-Za-z0-9/_.:-]{0,199})$/;

/** Reads its `job-clean`: the ids of forgotten jobs; what isn't one is left out. */
export function parseClean(text: string): readonly string[] {
  return text.split('\n').filter((id) => idPattern.test(id));
}

/** Reads its `job-list`; lines that no helper of ours prints are only counted. */
export function parseList({ stdout, truncated }: CommandResult): JobListing {
  const lines = stdout.split('\n').filter(Boolean);
  const jobs = lines.flatMap((line) => parseJob(line) ?? []);
  return { jobs, notUnderstood: lines.length - jobs.length + (truncated ? 1 : 0) };
}

function parseJob(line: string): JobSummary | undefined {
  const [id = '', state = '', exit = '', began = '', ended = '', verb = '', run = '-', ...more] = line.split(' ');
  const parsed = readState(`state ${state} ${exit} ${began} ${ended}`);
  const isWellFormed = idPattern.test(id) && /^[a-z0-9-]{1,100}$/.test(verb) && runPattern.test(run);
  if (parsed === undefined || !isWellFormed || more.length > 0) return undefined;
  return {
    id,
    state: parsed.state,
    verb,
    ...(run === '-' ? {} : { run }),
    ...(parsed.exitCode === undefined ? {} : { exitCode: parsed.exitCode }),
    ...(parsed.beganMs === undefined ? {} : { startedAt: new Date(parsed.beganMs).toISOString() }),
    ...(parsed.endedMs === undefined ? {} : { endedAt: new Date(parsed.endedMs).toISOString() }),
  };
}

type State = Pick<JobStatus, 'state' | 'exitCode' | 'beganMs' | 'endedMs'>;

function parseState(host: string, line: string): State {
  const state = readState(line);
  if (state === undefined) throw unexpected(host);
  return state;
}

function readState(line: string): State | undefined {
  const match = /^state ([a-z-]+) (-|\d{1,3}) (-|\d{1,15}) (-|\d{1,15})$/.exec(line);
  if (!match || !isState(match[1])) return undefined;
  const [, state, exit, began, ended] = match;
  return {
    state,
    ...(exit === '-' ? {} : { exitCode: Number(exit) }),
    ...(began === '-' ? {} : { beganMs: Number(began) }),
    ...(ended === '-' ? {} : { endedMs: Number(ended) }),
  };
}

function parseOutput(host: string, line: string | undefined): JobOutput {
  const match = /^std(?:out|err) (\d{1,15}) (\d{1,15}) ([A-Za-z0-9+/=]*)$/.exec(line ?? '');
  if (!match) throw unexpected(host);
  return { kept: Number(match[1]), total: Number(match[2]), chunk: Buffer.from(match[3] ?? '', 'base64') };
}

function isState(text: string | undefined): text is JobState {
  return text !== undefined && states.includes(text);
}

function unexpected(host: string): ServiceError {
  return new ServiceError({
    code: 'unexpected-answer',
    message: `The helper on ${host} answered something about a job that this version doesn't understand`,
    remedy: `Run: npx proxmox-mcp host install ${host}`,
    details: { host },
  });
}
