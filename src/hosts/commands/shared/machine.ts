import { said } from '../answer.ts';
import { defineCommand } from '../command.ts';

/** What tells one machine from another. */
export interface Machine {
  /** `/etc/machine-id`: a clone has that of its original. */
  readonly id: string;
  /** Of this start of its kernel: no two machines have the same. Empty: it doesn't say. */
  readonly boot: string;
}

const [idFile, bootFile] = ['/etc/machine-id', '/proc/sys/kernel/random/boot_id'] as const;

/** Its answer is undefined where the machine has no id of its own, as some containers. */
export const machineIdentity = defineCommand({
  name: 'machine-identity',
  summary: 'Which machine it is, so that none is worked on under two names',
  doing: 'Asking which machine it is',
  as: 'user',
  risk: 'read',
  job: false,
  parameters: [],
  argv: ['/usr/bin/grep', '-s', '-H', '-m', '1', '-E', '^[0-9a-f-]+$', idFile, bootFile],
  timeoutMs: 15_000,
  maxOutputBytes: 1024,
  // grep says by its exit code that one of them isn't there.
  answersAnyExit: true,
  answer: said.transform(({ stdout }) => {
    const lineOf = (file: string) =>
      stdout
        .split('\n')
        .find((line) => line.startsWith(`${file}:`))
        ?.slice(file.length + 1) ?? '';
    return toMachine(lineOf(idFile), lineOf(bootFile));
  }),
});

/** The machine, if what it said tells it from others: nothing, `uninitialized` and zeros are of nobody. */
export function toMachine(id: string, boot: string): Machine | undefined {
  return /^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id) ? { id, boot } : undefined;
}
