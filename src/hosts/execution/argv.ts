import { ServiceError } from '../../errors.ts';
import type { Argv } from './executor.ts';

/**
 * Refuses argument vectors that cannot be executed as they are: no program, one without an absolute path (which file
 * runs would depend on `PATH`), or a NUL byte (which ends a C string).
 */
export function checkArgv(argv: Argv): void {
  const [program] = argv;
  if (!program.startsWith('/')) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `The program ${JSON.stringify(program)} has no absolute path`,
      remedy: 'Name the program by its absolute path, for example /usr/bin/uptime.',
    });
  }
  const nul = argv.findIndex((argument) => argument.includes('\0'));
  if (nul >= 0) {
    throw new ServiceError({
      code: 'invalid-input',
      message: `Argument ${nul} of ${program} holds a NUL byte, which no program can be given`,
      remedy: 'Remove the NUL byte.',
    });
  }
}
