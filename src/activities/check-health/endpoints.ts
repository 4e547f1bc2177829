import { type EndpointAnswer, healthEndpoint, proxyEndpoint } from '../../hosts/commands/check-health/endpoints.ts';
import type { Host, RunOptions } from '../../hosts/host.ts';
import type { Finding } from '../../operations/finding.ts';
import { finding } from './finding.ts';
import { whereInstalled } from './installation.ts';
import { slowEndpoint } from './limits.ts';

/** The service's health endpoint: it must answer 2xx and say that it is healthy. */
export async function probeHealth(host: Host, options: RunOptions): Promise<readonly Finding[]> {
  const check = 'Health endpoint';
  const url = host.config.layout.healthUrl;
  if (url === '') return [finding(check, 'skipped', 'No health endpoint is configured for this host.')];
  const found = judgeHealth(check, url, await host.run(healthEndpoint, {}, options));
  return whereInstalled(host, options, check, [found]);
}

function judgeHealth(check: string, url: string, answer: EndpointAnswer): Finding {
  if (answer.kind === 'no-curl') return noCurl(check);
  if (answer.error !== undefined) return finding(check, 'failed', `${url} can't be reached: ${answer.error}.`);
  const time = `${answer.seconds.toFixed(2)} s`;
  const evidence = `HTTP ${answer.status} in ${time}\n${answer.body}`;
  if (answer.status < 200 || answer.status > 299) {
    return finding(check, 'failed', `${url} answers ${answer.status}.`, { evidence });
  }
  const said = saysHealthy(answer.body);
  if (said === 'no') return finding(check, 'failed', `${url} answers, but says that it is not healthy.`, { evidence });
  if (said === 'unclear') {
    return finding(check, 'unknown', `${url} answers, but does not say whether it is healthy.`, { evidence });
  }
  return answer.seconds > slowEndpoint
    ? finding(check, 'warning', `${url} is healthy, but took ${time}.`, { evidence })
    : finding(check, 'ok', `${url} says healthy (${answer.status}, ${time}).`, { evidence });
}

/** The reverse proxy: it must answer by itself, not with an error of its own or of what is behind it. */
export async function probeProxy(host: Host, options: RunOptions): Promise<readonly Finding[]> {
  const check = 'Reverse proxy';
  const url = host.config.layout.proxyUrl;
  if (url === '') return [finding(check, 'skipped', 'No reverse proxy is configured for this host.')];
  const found = judgeProxy(check, url, await host.run(proxyEndpoint, {}, options));
  return whereInstalled(host, options, check, [found]);
}

function judgeProxy(check: string, url: string, answer: EndpointAnswer): Finding {
  if (answer.kind === 'no-curl') return noCurl(check);
  if (answer.error !== undefined) return finding(check, 'failed', `${url} can't be reached: ${answer.error}.`);
  const evidence = `HTTP ${answer.status} in ${answer.seconds.toFixed(2)} s, Server: ${answer.server || 'not given'}`;
  if (answer.status >= 500) {
    return finding(check, 'failed', `${url} answers ${answer.status}: what is behind it is down.`, { evidence });
  }
  if (!/caddy/i.test(`${answer.server}\n${answer.body}`)) {
    const summary = `${url} answers ${answer.status}, but not as Caddy: another program may hold its port.`;
    return finding(check, 'warning', summary, { remedy: 'Run on the host: ss -tlnp', evidence });
  }
  return finding(check, 'ok', `${url} is answered by Caddy (${answer.status}).`, { evidence });
}

function noCurl(check: string): Finding {
  return finding(check, 'unknown', 'curl is not installed on this host, so its endpoints can not be asked.', {
    remedy: 'Run: apt install curl',
  });
}

const good = new Set(['healthy', 'ok', 'pass', 'passing', 'up', 'alive', 'serving']);

/**
 * What a health body says. "unhealthy" and "not healthy" hold the word "healthy" too, so the words are read whole: of
 * JSON its `status`, `health`, `state` or `healthy`, else a text of one good word.
 */
export function saysHealthy(body: string): 'yes' | 'no' | 'unclear' {
  const value = readJson(body);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const fields: Readonly<Record<string, unknown>> = Object.fromEntries(
      Object.entries(value).map(([key, field]) => [key.toLowerCase(), field]),
    );
    const verdicts = [fields.healthy, fields.status, fields.health, fields.state].filter(
      (field) => field !== undefined,
    );
    if (verdicts.length === 0) return 'unclear';
    const isGood = (field: unknown) =>
      field === true || (typeof field === 'string' && good.has(field.trim().toLowerCase()));
    return verdicts.every(isGood) ? 'yes' : 'no';
  }
  const text = (typeof value === 'string' ? value : body).trim().toLowerCase();
  if (good.has(text.replace(/[.!]$/, ''))) return 'yes';
  if (/\bunhealthy\b|\b(no|not|never|error|fail|failed|failing|down|degraded)\b/.test(text)) return 'no';
  // "Status: healthy", "proxmox-mcp is healthy": the word at the end of one short sentence.
  return /^[\w .-]{0,80}(\bis|:|=)\s*healthy[.!]?$/.test(text) ? 'yes' : 'unclear';
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
