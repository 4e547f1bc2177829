import { readFileSync } from 'node:fs';
import { splitAddress } from '../address.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config.ts';
import { ServiceError } from '../errors.ts';
import { createPeople, peopleFile } from '../people/store.ts';
import type { PolicyWorld } from '../policy/check.ts';
import { approvedPolicy } from '../policy/create-judge.ts';
import { type InspectedPolicy, inspectPolicy, parsePolicy } from '../policy/read-policy.ts';
import type { Policy } from '../policy/schema.ts';
import { readableTime } from '../reports/units.ts';
import { createTokenStore, type TokenInfo, tokensFile } from '../tokens/store.ts';
import { tcp } from './tcp.ts';
import { ownTimeZone } from './terminal.ts';

/** What was approved last. `why`: it isn't known, because nobody answers. */
export type Approved =
  | { readonly isKnown: true; readonly policy?: Policy; readonly at?: string }
  | { readonly isKnown: false; readonly why: string };

/** Asks the ledger for the policy that was approved last. */
export async function readApproved(config: Config): Promise<Approved> {
  const [{ connectTemporal }, { temporalAddress }, { createLedgerClient }] = await Promise.all([
    import('../runs/temporal-client.ts'),
    import('../runs/temporal-endpoint.ts'),
    import('../runs/ledger.ts'),
  ]);
  const address = temporalAddress(config);
  if ((await tcp(...splitAddress(address), AbortSignal.timeout(5_000))) !== undefined) {
    return { isKnown: false, why: `the service doesn't run (nothing answers on ${address})` };
  }
  const client = await connectTemporal(config, 5_000);
  try {
    const { records } = await createLedgerClient(client).search({ kind: 'policy', limit: 1 }, 'UTC');
    const [record] = records;
    if (record === undefined) return { isKnown: true };
    const at = readableTime(record.at, ownTimeZone());
    return { isKnown: true, at, policy: approvedPolicy(record.data?.document, `the policy approved on ${at}`) };
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === 'unreadable') throw error;
    return { isKnown: false, why: error.message };
  } finally {
    await client.connection.close();
  }
}

/** `policy.yaml` beside `.env`, or another file that is to become it. */
export function inspectFile({ folder, config }: LoadedConfig, file?: string): InspectedPolicy {
  if (file === undefined) return inspectPolicy(folder, config);
  return { exists: true, warnings: [], ...parsePolicy(readFileSync(file, 'utf8'), config) };
}

/** What there is here that a policy may name. */
export function policyWorld(config: Config): PolicyWorld {
  const { slack, discord, onCall } = config.webhooks;
  return {
    hosts: config.hosts.map(({ name }) => name),
    people: createPeople(peopleFile(config.accessDir)).list(),
    tokens: tokensOf(config).map(({ name }) => name),
    webhooks: [
      ...(slack ? (['SLACK_WEBHOOK_URL'] as const) : []),
      ...(discord ? (['DISCORD_WEBHOOK_URL'] as const) : []),
      ...(onCall ? (['ONCALL_WEBHOOK_URL'] as const) : []),
    ],
    hasMail: config.mail !== undefined,
  };
}

export function tokensOf({ accessDir }: Config): readonly TokenInfo[] {
  return createTokenStore(tokensFile(accessDir)).list();
}
