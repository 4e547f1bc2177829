import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import type { ServedPrompt, Surface } from './surface.ts';

const host = { name: 'host', description: 'Name of a configured host; all hosts when left out', required: false };

const prompts: readonly (ServedPrompt & { readonly text: (args: Readonly<Record<string, string>>) => string })[] = [
  {
    name: 'morning_check',
    title: 'Morning check',
    description: 'Check the health of the hosts and say what needs attention today',
    arguments: [host],
    text: ({ host: name }) =>
      `Run check_health on ${name === undefined ? 'every host that list_hosts names' : `the host ${name}`} and wait for each report with wait_for_run. Then look with list_runs at what failed since yesterday, and with list_schedules at what is paused. Tell me in a few lines, most urgent first, what needs my attention, on which evidence, and what you propose. Change nothing.`,
  },
  {
    name: 'explain_run',
    title: 'Explain a run',
    description: 'Find out why a run failed, or is slow, and what to do',
    arguments: [{ name: 'run', description: "The run's id", required: true }],
    text: ({ run }) =>
      `Read the run ${run} with get_run and its log with get_run_log. Tell me what happened, why, what state the host is in now, and what to do next. Change nothing.`,
  },
];

/** The few prompts worth having: what administrators ask every day. */
export function createPrompts(config: Config): Surface['prompts'] {
  return {
    list: prompts.map(({ text: _text, ...prompt }) => prompt),
    async get(name, args) {
      const prompt = prompts.find((candidate) => candidate.name === name);
      if (prompt === undefined) return undefined;
      for (const argument of prompt.arguments) check(argument, args[argument.name], config);
      return prompt.text(args);
    },
  };
}

function check(argument: ServedPrompt['arguments'][number], value: string | undefined, config: Config): void {
  if (value === undefined || value === '') {
    if (!argument.required) return;
    throw invalid(argument.name, `The argument "${argument.name}" is missing`, `Give it: ${argument.description}.`);
  }
  if (argument.name === 'host' && !config.hosts.some(({ name }) => name === value)) {
    const names = config.hosts.map(({ name }) => name).join(', ');
    throw invalid('host', `There is no host ${JSON.stringify(value)}`, `The configured hosts are ${names}.`);
  }
  if (argument.name === 'run' && !/^[A-Za-z0-9_.:/-]{1,300}$/.test(value)) {
    throw invalid('run', 'The argument "run" is not the id of a run', 'list_runs names them.');
  }
}

function invalid(field: string, message: string, remedy: string): ServiceError {
  return new ServiceError({ code: 'invalid-input', message, remedy, details: { field } });
}
