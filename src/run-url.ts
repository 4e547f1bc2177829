import type { Config } from './config.ts';

/** Page of a run in the Temporal UI. */
export function runUrl({ temporal }: Pick<Config, 'temporal'>, id: string): string {
  return `${temporal.uiUrl}/namespaces/${temporal.namespace}/workflows/${encodeURIComponent(id)}`;
}

/** Path of a run's own page on the console. Holds nothing but the id: whoever follows it has to sign in. */
export function runPagePath(id: string): string {
  return pagePath('runs', id);
}

/** The same as a whole URL, for mails. */
export function runPageUrl({ mcp }: Pick<Config, 'mcp'>, id: string): string {
  return `${mcp.publicUrl}${runPagePath(id)}`;
}

/** Path of a schedule's page on the console. */
export function schedulePagePath(id: string): string {
  return pagePath('schedules', id);
}

/** Ids are parts with slashes between, and read as that. */
function pagePath(kind: string, id: string): string {
  return `/${kind}/${id.split('/').map(encodeURIComponent).join('/')}`;
}
