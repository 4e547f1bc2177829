import type { Config } from './config.ts';

/** Page of a run in the Temporal UI. */
export function runUrl({ temporal }: Pick<Config, 'temporal'>, id: string): string {
  return `${temporal.uiUrl}/namespaces/${temporal.namespace}/workflows/${encodeURIComponent(id)}`;
}
