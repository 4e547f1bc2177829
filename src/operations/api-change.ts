import type { z } from 'zod';
import { defineOperation, type OperationDefinition, type TypedOperation } from './definition.ts';
import type { Finding } from './finding.ts';
import type { PlanDraft } from './plan.ts';
import type { GuestPlace } from './target.ts';

// An operation that is one call of the Proxmox API, or a few in a row, is a declaration: what is looked at, and from that,
// without asking anybody anything, which calls would be made, what each is to have effected, and how it is taken back.
// One workflow (`src/workflows/lib/api-change.ts`) and one set of activities (`src/activities/api-change`) do them all.

/** A list is sent as its name once for each value. */
export type ApiParameters = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/**
 * Stands in a parameter for the id of the run, which is put in when the call is made: so what a run has made bears its
 * name, and the plan of a dry run is that of the run.
 */
export const runMark = '{run}';

/** A path template of the API, each `*` filled with the next value. */
interface ApiPath {
  // `/nodes/*/qemu/*/config`, without `/api2/json`
  readonly template: string;
  readonly values: readonly string[];
  readonly parameters?: ApiParameters;
}

export interface ApiRead<Schema extends z.ZodType = z.ZodType> extends ApiPath {
  /** What is kept of the answer: all of it goes into the run's history. */
  readonly schema: Schema;
  /** What counts as the answer where there is no such thing, or this version has no such call. Without it that is an error. */
  readonly absent?: z.output<Schema>;
  /** A POST that only says what it would do (`dry-run`). */
  readonly asksOnly?: true;
  /** Which other errors are taken for that. */
  readonly absentOn?: readonly AbsentOn[];
}
/** Beside what isn't there: a guest's agent that doesn't answer (yet), a node that is away, what the API token may not see. */
export type AbsentOn = 'proxmox-unavailable' | 'proxmox-permission' | 'proxmox-invalid' | 'conflict' | 'timeout';
export type ApiReads = Readonly<Record<string, ApiRead>>;

/** What was read, by the names of the reads. */
export type Seen<Reads extends ApiReads = ApiReads> = {
  readonly [Name in keyof Reads]: z.output<Reads[Name]['schema']>;
};

export interface ApiCall extends ApiPath {
  readonly method: 'POST' | 'PUT' | 'DELETE';
}

/** What is to be so after a call, seen by another way than the call's answer. */
export interface ApiEffect {
  readonly reads: ApiReads;
  /** What can be named only after that, as the archive that a backup has made. Its answers stand beside the others, by their names. */
  readonly more?: (now: Seen, run: string) => ApiReads;
  /** @returns what is not so, as the end of "…, but"; undefined: all is as wanted */
  readonly lacks: (now: Seen, run: string) => string | undefined;
  /** What only shows then, for the operation's output. */
  readonly facts?: (now: Seen, run: string) => Readonly<Record<string, unknown>>;
  /** What only shows then, for the report. */
  readonly findings?: (now: Seen, run: string) => readonly Finding[];
  /** How long it may take to show. Default 10. */
  readonly withinSeconds?: number;
  /** How long it has to stay so. Default 0. */
  readonly staysSeconds?: number;
  /**
   * Where it doesn't show in time: what the report then warns of, as the step is done all the same. Absent: the run
   * fails, and all is taken back.
   */
  readonly orElse?: string;
}
/** The fact that an effect has not shown, where that doesn't fail the run: {@link ApiEffect.orElse}. */
export const missedFact = 'missed';

/** How what a step has done is taken back while the run still holds its locks. */
export interface ApiUndo {
  /** For the plan: `The snapshot is deleted`. */
  readonly says: string;
  readonly reads: ApiReads;
  /** @returns the call that takes it back; undefined: there is nothing (any more) that is this run's */
  readonly plan: (now: Seen, run: string) => Omit<ApiStep, 'undo' | 'title'> | undefined;
}

export interface ApiStep {
  /** One of the operation's `steps`. */
  readonly title: string;
  /** Absent: nothing is called, its effect is only waited for. */
  readonly call?: ApiCall;
  /** The task that the call starts. Absent: it answers at once. */
  readonly task?: {
    readonly node: string;
    /** What it works on, as its UPID has it; mostly a VMID. Absent: whatever it is. */
    readonly id?: string;
    /** `qmclone`; of a guest that the HA stack manages another one. */
    readonly types: readonly string[];
    /** Whether an id is that of what it works on, where only a part of it is known. */
    readonly isId?: (id: string) => boolean;
  };
  readonly effect: ApiEffect;
  /** Where the task's log says more than how it ended. */
  readonly log?: {
    /** Lines that only say how far it is: they are left out, so that the others of a long log are kept. */
    readonly isProgress: (line: string) => boolean;
    readonly findings: (lines: readonly string[], warnings: number) => readonly Finding[];
    /** An error that the task ends with and that is a result all the same: the effect says what it is worth. */
    readonly isResult?: (exitStatus: string) => boolean;
  };
  /** Absent: there is nothing to take back, or an earlier step's undo takes it along. */
  readonly undo?: ApiUndo;
}

/** What would be done, from what was seen. */
export interface ChangePlan<Output> extends Omit<PlanDraft, 'steps' | 'undo' | 'hostCalls'> {
  /** None: all is so already. */
  readonly steps: readonly ApiStep[];
  /** Beside what the steps' undos say. */
  readonly undo?: readonly string[];
  /** As it will be; the facts of the steps are added. */
  readonly output: Output;
  /** The report's sentence: `The VM 100 (mail) has the snapshot before-upgrade.` */
  readonly done: string;
  /** Of the report, beside the tasks: what was before, what differs. */
  readonly findings?: readonly Finding[];
  /** Of the report, where what was looked for is a list. */
  readonly table?: { readonly title: string; readonly columns: string[]; readonly rows: string[][] };
}

/** Why nothing is done. */
export interface Refusal {
  readonly refused: {
    readonly code: 'conflict' | 'invalid-input' | 'not-found' | 'already-exists' | 'proxmox-locked' | 'forbidden';
    readonly message: string;
    readonly remedy: string;
    readonly field?: string;
  };
}

/** That nothing is done: why, and what to do. */
export function refuse(code: Refusal['refused']['code'], message: string, remedy: string, field?: string): Refusal {
  return { refused: { code, message, remedy, ...(field === undefined ? {} : { field }) } };
}

/** What a declaration is asked with. */
export interface ChangeAt<Input, Kind extends OperationDefinition['target'] = OperationDefinition['target']> {
  readonly input: Input;
  /** Of a guest: where it is; else the host's own. */
  readonly node: string;
  /** Of a host's operation that may name a guest: the one that the request names. */
  readonly guest: Kind extends 'guest' ? GuestPlace : GuestPlace | undefined;
}

/** The declaration itself; its functions are pure. */
export interface ApiChange<
  Input,
  Output,
  Reads extends ApiReads,
  Kind extends OperationDefinition['target'],
  More = unknown,
> {
  reads(at: ChangeAt<Input, Kind>): Reads;
  /** What can be named only after that, as the contents of the storages that there are: any number, all of one kind. */
  more?(at: ChangeAt<Input, Kind>, seen: Seen<Reads>): Readonly<Record<string, ApiRead<z.ZodType<More>>>>;
  /** What can be named only after that, too; it stands among `more`. */
  deeper?(
    at: ChangeAt<Input, Kind>,
    seen: Seen<Reads>,
    more: Readonly<Record<string, More>>,
  ): Readonly<Record<string, ApiRead<z.ZodType<More>>>>;
  plan(
    at: ChangeAt<Input, Kind>,
    seen: Seen<Reads>,
    more: Readonly<Record<string, More>>,
  ): ChangePlan<Output> | Refusal;
}

/** An operation with its declaration. */
export interface ApiOperation<
  Name extends string = string,
  Kind extends OperationDefinition['target'] = OperationDefinition['target'],
  Input extends z.ZodObject = z.ZodObject,
  Output extends z.ZodObject = z.ZodObject,
> extends TypedOperation<Name, Kind, Input, Output> {
  readonly change: ApiChange<Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>, ApiReads, Kind>;
}

/** As `defineOperation`, with the declaration: nothing else is to be written for it but tests. */
export function defineApiChange<
  const Name extends string,
  const Kind extends 'guest' | 'host',
  Input extends z.ZodObject,
  Output extends z.ZodObject,
  Reads extends ApiReads,
  More = never,
>(
  definition: Omit<Parameters<typeof defineOperation<Name, Kind, Input, Output>>[0], 'needs' | 'schedules'> & {
    /** Default: the host's Proxmox API. */
    readonly needs?: 'backup-server';
    /** Default: none. */
    readonly schedules?: Parameters<typeof defineOperation<Name, Kind, Input, Output>>[0]['schedules'];
  },
  change: ApiChange<z.output<Input>, z.output<Output>, Reads, Kind, More>,
): ApiOperation<Name, Kind, Input, Output> {
  const operation = defineOperation<Name, Kind, Input, Output>({
    needs: 'api',
    schedules: [],
    ...definition,
  } as Parameters<typeof defineOperation<Name, Kind, Input, Output>>[0]);
  // The schemas stay getters.
  return Object.defineProperty(operation, 'change', { value: change, enumerable: true }) as ApiOperation<
    Name,
    Kind,
    Input,
    Output
  >;
}

export function isApiOperation(operation: OperationDefinition): operation is ApiOperation {
  return 'change' in operation;
}

/** Binds what an effect looks for to what it reads. */
export function effect<Reads extends ApiReads>(
  of: Omit<ApiEffect, 'reads' | 'more' | 'lacks' | 'facts' | 'findings'> & {
    readonly reads: Reads;
    readonly more?: (now: Seen<Reads>, run: string) => ApiReads;
    readonly lacks: (now: Seen<Reads>, run: string) => string | undefined;
    readonly facts?: (now: Seen<Reads>, run: string) => Readonly<Record<string, unknown>>;
    readonly findings?: (now: Seen<Reads>, run: string) => readonly Finding[];
  },
): ApiEffect {
  // Checked here; whoever calls it has read just these.
  return of as unknown as ApiEffect;
}

/** Binds what an undo does to what it reads. */
export function undoBy<Reads extends ApiReads>(
  of: Omit<ApiUndo, 'reads' | 'plan'> & {
    readonly reads: Reads;
    readonly plan: (now: Seen<Reads>, run: string) => ReturnType<ApiUndo['plan']>;
  },
): ApiUndo {
  // As of an effect.
  return of as unknown as ApiUndo;
}

/** Binds a read to its schema. */
export function apiRead<Schema extends z.ZodType>(read: ApiRead<Schema>): ApiRead<Schema> {
  return read;
}

/** The call on one line, as the plan has it: `POST /nodes/pve1/qemu/100/snapshot snapname=before`. */
export function apiCallLine({ method, template, values, parameters = {} }: ApiCall): string {
  const rest = [...values];
  const path = template.replace(/\*/g, () => rest.shift() ?? '');
  const shown = (value: ApiParameters[string]) => {
    if (typeof value === 'object') return JSON.stringify(value);
    if (typeof value === 'boolean') return Number(value);
    return typeof value === 'string' && /[\s"]|^$/.test(value) ? JSON.stringify(value) : value;
  };
  const given = Object.entries(parameters).map(([name, value]) => ` ${name}=${shown(value)}`);
  return `${method} ${path}${given.join('')}`;
}

/** A call's line without the digest of the configuration that it was planned for. */
export function withoutDigest(line: string): string {
  return line.replace(/ digest=\S+/g, ' digest=*');
}

/** @returns the same call with the run's id where it belongs */
export function signed(call: ApiCall, run: string): ApiCall {
  const put = (value: ApiParameters[string]) => (typeof value === 'string' ? value.replaceAll(runMark, run) : value);
  const { parameters } = call;
  if (parameters === undefined) return call;
  return {
    ...call,
    parameters: Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, put(value)])),
  };
}
