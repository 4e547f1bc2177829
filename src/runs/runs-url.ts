import type { Config } from '../config.ts';
import { searchAttributes } from '../operations/search-attributes.ts';

/** The list of runs in the Temporal UI, without what works for them: locks, and the watch over the scheduled ones. */
export function runsUrl({ temporal }: Pick<Config, 'temporal'>): string {
  const query = encodeURIComponent(`${searchAttributes.operation} IS NOT NULL`);
  return `${temporal.uiUrl}/namespaces/${temporal.namespace}/workflows?query=${query}`;
}
