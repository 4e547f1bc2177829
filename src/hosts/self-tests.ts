import type { HostLayout } from '../config.ts';
import type { Argv } from './execution/executor.ts';

/**
 * What `host install` and `host check` ask sudo for to see that it refuses: an arbitrary program, one that reads, and
 * another argument of the helper. They only look, should they be admitted, and show nothing that is worth having: who
 * imitates them to hide behind them has gained nothing.
 */
export function refusedOnPurpose({ helper }: Pick<HostLayout, 'helper'>): readonly Argv[] {
  return [
    ['/usr/bin/id', '-u'],
    ['/bin/cat', '/dev/null'],
    [helper, 'no-such-verb'],
  ];
}

/** What they ask sudo for to see that it admits it. */
export function admittedOnPurpose({ helper }: Pick<HostLayout, 'helper'>): Argv {
  return [helper, 'job-list'];
}
