import type { LoadedConfig } from '../config/load.ts';
import { type ConfigFinding, configProblem } from '../config/problems.ts';
import type { ConfigurationFile } from '../config/read-again.ts';
import { ServiceError } from '../errors.ts';
import { createPeople, peopleFile } from '../people/store.ts';
import { inspectPolicy, policyFile } from '../policy/read-policy.ts';
import { tokensOf } from './approved-policy.ts';

/**
 * The files that belong to the configuration beside `.env` and `hosts.yaml`. A new one is registered here, and is then looked
 * at whenever the configuration is read again.
 */
export const configurationFiles: readonly ConfigurationFile[] = [
  { name: policyFile, problems: ({ folder, config }) => inspectPolicy(folder, config).problems },
  { name: 'tokens.json', problems: readable('tokens.json', ({ config }) => tokensOf(config)) },
  {
    name: 'people.json',
    problems: readable('people.json', ({ config }) => createPeople(peopleFile(config.accessDir)).list()),
  },
];

function readable(name: string, read: (loaded: LoadedConfig) => unknown): ConfigurationFile['problems'] {
  return (loaded): readonly ConfigFinding[] => {
    try {
      read(loaded);
      return [];
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const { message: expected, remedy } = error;
      return [
        configProblem({
          key: name,
          source: 'the data folder',
          expected: `a file that can be read (${expected})`,
          remedy,
        }),
      ];
    }
  };
}
