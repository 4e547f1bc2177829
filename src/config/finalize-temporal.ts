import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { isTemporalCloud } from '../address.ts';
import type { Config, TemporalTls } from '../config.ts';
import { readSecret } from '../secret-file.ts';
import { type ConfigFinding, configProblem, configWarning } from './problems.ts';
import type { ServiceContext } from './service-context.ts';

type Temporal = Pick<Config['temporal'], 'address' | 'namespace' | 'tls' | 'apiKey' | 'apiKeyFile'>;

const fileKeys = ['TEMPORAL_TLS_CA_FILE', 'TEMPORAL_TLS_CERT_FILE', 'TEMPORAL_TLS_KEY_FILE'] as const;
/** Keys that mean nothing without TLS. */
const tlsKeys = [...fileKeys, 'TEMPORAL_TLS_SERVER_NAME', 'TEMPORAL_API_KEY'] as const;

/** Where the Temporal server is, and with what it is reached. */
export function temporalOf(context: ServiceContext, problems: ConfigFinding[], warnings: ConfigFinding[]): Temporal {
  const { values, written, wrong, sourceOf, emptyAt, fileOf, folder } = context;
  const { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace, TEMPORAL_API_KEY: apiKey } = values;
  const used = tlsKeys.filter((key) => written.has(key));
  const isCloud = isTemporalCloud(address);
  const problem = (key: string, expected: string, remedy: string, at = key) =>
    problems.push(configProblem({ key, source: emptyAt(key) ?? sourceOf(at), expected, remedy }));

  const [first] = [...used, ...(values.TEMPORAL_TLS === true ? ['TEMPORAL_TLS'] : [])];
  if (first !== undefined && !written.has('TEMPORAL_ADDRESS')) {
    problem(
      first,
      'TEMPORAL_ADDRESS beside it: the server that the service runs itself is reached on this machine, without TLS',
      `Write TEMPORAL_ADDRESS=HOST:PORT, or remove ${first}.`,
    );
  }
  if (values.TEMPORAL_TLS === false && (used.length > 0 || isCloud)) {
    const [why] = used;
    problem(
      'TEMPORAL_TLS',
      why === undefined
        ? 'true, because Temporal Cloud is reached through TLS only'
        : why === 'TEMPORAL_API_KEY'
          ? 'true, because TEMPORAL_API_KEY would cross the network readable without TLS'
          : `true, because ${why} is set`,
      why === undefined ? 'Remove TEMPORAL_TLS=false.' : `Remove TEMPORAL_TLS=false, or ${why}.`,
    );
  }
  for (const [key, other] of [
    ['TEMPORAL_TLS_CERT_FILE', 'TEMPORAL_TLS_KEY_FILE'],
    ['TEMPORAL_TLS_KEY_FILE', 'TEMPORAL_TLS_CERT_FILE'],
  ] as const) {
    if (!written.has(key) || written.has(other)) continue;
    problem(
      other,
      `a value, because ${key} is set: a certificate and its key belong together`,
      `Write ${other}=PATH.`,
      key,
    );
  }
  const keyFile = values.TEMPORAL_TLS_KEY_FILE && resolve(folder, values.TEMPORAL_TLS_KEY_FILE);
  // One that isn't there yet is told of where it is needed.
  const key = keyFile !== undefined && existsSync(keyFile) ? readSecret(keyFile) : undefined;
  if (key !== undefined && 'expected' in key) problem('TEMPORAL_TLS_KEY_FILE', key.expected, key.remedy);
  if (isCloud) {
    if (!used.includes('TEMPORAL_API_KEY') && !used.includes('TEMPORAL_TLS_CERT_FILE')) {
      problem(
        'TEMPORAL_API_KEY',
        'TEMPORAL_API_KEY, or TEMPORAL_TLS_CERT_FILE and TEMPORAL_TLS_KEY_FILE, because Temporal Cloud lets nobody in without',
        'Write TEMPORAL_API_KEY_FILE=PATH: docs/temporal.md says how the key is made.',
        'TEMPORAL_ADDRESS',
      );
    }
    if (!wrong.has('TEMPORAL_NAMESPACE') && !/^[^.]+\.[^.]+$/.test(namespace)) {
      problem(
        'TEMPORAL_NAMESPACE',
        "NAME.ACCOUNT, because Temporal Cloud's namespaces are named so",
        'Write it as the page of the namespace or `tcld namespace list` shows it, e.g. TEMPORAL_NAMESPACE=proxmox.a1b2c.',
        written.has('TEMPORAL_NAMESPACE') ? 'TEMPORAL_NAMESPACE' : 'TEMPORAL_ADDRESS',
      );
    }
    const [, of] = /^(.+)\.tmprl\.cloud/i.exec(address ?? '') ?? [];
    if (of !== undefined && of.split('.').length === 2 && of.toLowerCase() !== namespace.toLowerCase()) {
      warnings.push(
        configWarning({
          key: 'TEMPORAL_ADDRESS',
          source: sourceOf('TEMPORAL_ADDRESS'),
          summary: `it is the address of the namespace ${of}, and TEMPORAL_NAMESPACE is ${namespace}.`,
          remedy: 'Make the two agree.',
        }),
      );
    }
  }
  const {
    TEMPORAL_TLS_CA_FILE: caFile,
    TEMPORAL_TLS_CERT_FILE: certFile,
    TEMPORAL_TLS_SERVER_NAME: serverName,
  } = values;
  const isTls = values.TEMPORAL_TLS ?? (used.length > 0 || isCloud);
  const apiKeyFile = fileOf('TEMPORAL_API_KEY');
  const tls: TemporalTls = {
    ...(caFile && { caFile: resolve(folder, caFile) }),
    ...(certFile && keyFile && { client: { certFile: resolve(folder, certFile), keyFile } }),
    ...(serverName && { serverName }),
  };
  return {
    ...(address && { address }),
    namespace,
    ...(isTls && address && { tls }),
    ...(apiKey && { apiKey }),
    ...(apiKey && apiKeyFile && { apiKeyFile }),
  };
}
