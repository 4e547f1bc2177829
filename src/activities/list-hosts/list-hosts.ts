import type { Config } from '../../config.ts';

export const queue = 'service';

/** Which hosts there are now, for workflows that outlive a configuration. */
export function createListHostsActivities({ config }: { readonly config: Config }) {
  return {
    /** Names of the hosts that are reached by commands: over SSH, or because they are this machine. */
    async hostsByCommands(): Promise<readonly string[]> {
      return config.hosts.filter(({ ssh, local }) => (ssh ?? local) !== undefined).map(({ name }) => name);
    },
  };
}

export type ListHostsActivities = ReturnType<typeof createListHostsActivities>;
