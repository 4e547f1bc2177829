import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { type OperationDefinition, riskText } from '../operations/definition.ts';
import { runCondition } from '../operations/run.ts';
import { includesRole } from '../people/person.ts';
import { schedulePagePath } from '../run-url.ts';
import { findOperation, operations } from '../runs/find-operation.ts';
import { type InputField, inputFields, readField } from '../runs/input-fields.ts';
import { canServe } from '../runs/parse-input.ts';
import { scheduleText } from '../runs/schedule-text.ts';
import type { Schedules } from '../runs/schedules.ts';
import { aheadForm, everyForm } from '../runs/when.ts';
import type { Action, Field } from './action.ts';
import { requesterOf, type Viewer } from './sessions.ts';
import { limits } from './words.ts';

/** Where the form stands. */
export const schedulingPath = '/schedules';

/** Whether this viewer makes and removes schedules here. A token does so by MCP, where its runs end with it. */
export function maySchedule(viewer: Viewer): boolean {
  return viewer.kind === 'person' && includesRole(viewer.role, 'operator');
}

/** What the form asks for; `written` is what was chosen and filled in so far. */
export function schedulingView({ hosts }: Pick<Config, 'hosts'>, written: URLSearchParams) {
  const field = (name: string) => (written.get(name) ?? '').slice(0, limits.id);
  const wanted = field('operation');
  const chosen = Object.hasOwn(operations, wanted) ? operations[wanted] : undefined;
  return {
    operations: Object.values(operations)
      .filter(isForForms)
      .map(({ name, title }) => ({ name, title, isChosen: name === wanted })),
    host: field(named('host')),
    ...(chosen !== undefined && {
      chosen: {
        name: chosen.name,
        title: chosen.title,
        summary: chosen.summary,
        risk: riskText(chosen),
        fields: askedFor(chosen).map((one) => fieldView(one, field(named(one.name)), hostsFor(chosen, hosts))),
        conditions: runCondition.options.map((name) => ({ name, isChosen: field('if') === name })),
      },
    }),
    forms: { at: aheadForm, every: everyForm },
    at: field('at'),
    every: field('every'),
    name: field('name'),
  };
}

/** What that form and the one that removes a schedule do. The policy is asked, and the ledger told, by `schedules`. */
export function schedulingActions(schedules: Schedules): Readonly<Record<string, Action>> {
  return {
    '/schedules/add': {
      page: () => schedulingPath,
      async act(field, viewer) {
        requireLeave(viewer);
        const operation = findOperation(field('operation'));
        const { existing, ...made } = await schedules.add(
          {
            operation: operation.name,
            input: inputIn(operation, field),
            at: field('at').trim() || undefined,
            every: field('every').trim() || undefined,
            condition: conditionIn(field('if')),
            name: field('name').trim() || undefined,
          },
          requesterOf(viewer),
        );
        const text = `${existing ? 'It was scheduled already' : 'Scheduled'}. ${scheduleText(made)}`;
        return { text, page: schedulePagePath(made.id) };
      },
    },
    '/schedules/remove': {
      page: (field) => schedulePagePath(field('id')),
      async act(field, viewer) {
        requireLeave(viewer);
        const id = field('id');
        const { cancelled } = await schedules.remove(id, requesterOf(viewer));
        const also = cancelled.length === 0 ? '' : ` Cancelled, which waited for its time: ${cancelled.join(', ')}`;
        return { text: `Removed ${id}.${also}`, page: '/' };
      },
    },
  };
}

/** What is one thing, or several with commas between, can be written into a form; an object can't. */
function isForForms(operation: OperationDefinition): boolean {
  return askedFor(operation).every(({ type }) => type !== 'object');
}

/** Without what makes a plan of it, because a plan is for now; a guest is asked for once, by whatever names it. */
function askedFor(operation: OperationDefinition): readonly InputField[] {
  const isOfGuest = operation.target === 'guest';
  return inputFields(operation)
    .filter(({ name }) => name !== 'dryRun' && !(isOfGuest && name === 'vmid'))
    .map((field) => (isOfGuest && field.name === 'guest' ? { ...field, isRequired: true } : field));
}

function hostsFor({ needs }: OperationDefinition, hosts: Config['hosts']): readonly string[] {
  return hosts.filter((host) => canServe(host, needs)).map(({ name }) => name);
}

/** So that no field of an operation is taken for one of the form's own. */
function named(field: string): string {
  return `input-${field}`;
}

function fieldView(field: InputField, value: string, hosts: readonly string[]) {
  const { name, type, description = '', isRequired } = field;
  const choices = name === 'host' ? hosts : field.enum;
  return {
    name,
    field: named(name),
    value,
    isRequired,
    isOn: type === 'boolean' && (value === '' ? field.default === true : value === 'true'),
    kind: choices !== undefined ? 'choice' : type === 'boolean' ? 'yes-or-no' : 'text',
    choices: (choices ?? []).map((one) => ({ name: one, isChosen: one === value })),
    isNumber: type === 'integer' || type === 'number',
    description: `${description.replace('; list_hosts names them', '')}${type === 'array' ? '; several with commas between' : ''}`,
    usual: field.default === undefined || type === 'boolean' ? '' : String(field.default),
  };
}

/** What was filled in; what wasn't is the operation's own default. */
function inputIn(operation: OperationDefinition, field: Field): Record<string, unknown> {
  const written = askedFor(operation).flatMap((one) => {
    const text = field(named(one.name)).trim();
    // A box that isn't ticked is not sent.
    if (one.type === 'boolean') return [[one.name, text === 'true'] as const];
    return text === '' ? [] : [[one.name, readField(one, text)] as const];
  });
  return Object.fromEntries(written);
}

function conditionIn(text: string) {
  if (text === '') return undefined;
  const { data } = runCondition.safeParse(text);
  if (data !== undefined) return data;
  throw new ServiceError({
    code: 'invalid-input',
    message: `if: expected ${runCondition.options.join(' or ')}, and nothing was scheduled`,
    remedy: 'Correct it and send it again.',
    details: { field: 'if' },
  });
}

function requireLeave(viewer: Viewer): void {
  if (maySchedule(viewer)) return;
  throw new ServiceError({
    code: 'forbidden',
    message: `${viewer.name} makes and removes no schedules here`,
    remedy:
      viewer.kind === 'token'
        ? 'Sign in as yourself; a token does it by MCP (schedule_operation, remove_schedule).'
        : 'An operator or an administrator does it.',
  });
}
