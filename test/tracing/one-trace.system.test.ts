import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../lab/proxmox/simulator.ts';
import { type Sshd, startSshd } from '../../lab/sshd.ts';
import { createTokenStore } from '../../src/tokens/store.ts';
import { localMachine, type Machine, makePlace } from '../faults/places.ts';
import { ask } from '../mcp/lib/clients.ts';
import { type CollectedSpan, type Collector, startCollector } from '../support/collector.ts';
import { apiEntry } from '../support/hosts.ts';
import { startService, type TestService } from '../support/service.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const spanId = '00f067aa0ba902b7';
const secretHeader = 'collectors-own-hunter2';

let collector: Collector;
let machine: Machine;
let sshd: Sshd;
let simulator: ProxmoxSimulator;
let service: TestService;
let token: string;

beforeAll(async () => {
  collector = await startCollector();
  machine = localMachine();
  sshd = await startSshd();
  simulator = await createProxmoxSimulator();
  const { entry } = await makePlace({ name: 'pve1', machine, secret: 'unused', layout: {} });
  const { ENABLE_LOCAL_EXECUTION: _, LOCAL_SUDO: __, ...rest } = entry;
  service = await startService({
    env: {
      LOG_LEVEL: 'DEBUG',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: `x-key=${secretHeader}`,
    },
    hosts: {
      pve1: {
        ...rest,
        SSH_HOST: sshd.ssh.host,
        SSH_PORT: String(sshd.ssh.port),
        SSH_USER: sshd.ssh.user,
        SSH_KEY_PATH: sshd.ssh.keyPath,
        SSH_KNOWN_HOSTS: sshd.ssh.knownHostsPath,
        ...apiEntry(simulator),
      },
    },
  });
  const tokens = createTokenStore(join(service.config.dataDir, 'tokens.json'));
  ({ token } = await tokens.create({ name: 'tester', scope: 'admin' }));
  await service.startWorker();
  await service.startMcp();
}, 600_000);

afterAll(async () => {
  await service?.stop();
  await simulator?.close();
  await sshd?.stop();
  await machine?.stop();
  await collector?.close();
});

async function start(name: string, args: Record<string, unknown>, meta: Record<string, unknown>, headers = {}) {
  const { last } = await ask(
    `${service.mcpUrl}/api/mcp`,
    token,
    'tools/call',
    { name, arguments: args },
    { meta, headers },
  );
  const id = last.result?.structuredContent?.run?.id as string;
  return await service.runs.wait(id, { timeoutMs: 120_000 });
}

/** Those of a trace, when its last one has come. */
async function spansOf(trace: string, last: string): Promise<readonly CollectedSpan[]> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const spans = collector.spans.filter((span) => span.traceId === trace);
    if (spans.some(({ name }) => name === last)) return spans;
    if (Date.now() > deadline)
      throw new Error(`only ${spans.map(({ name }) => name).join()} came\n${service.log('worker').slice(-3_000)}`);
    await sleep(100);
  }
}

/** The names of a span and of those above it, outermost first; what isn't there is `?`. */
function pathOf(span: CollectedSpan, spans: readonly CollectedSpan[]): string[] {
  const above = spans.find((one) => one.spanId === span.parentSpanId);
  if (above !== undefined) return [...pathOf(above, spans), span.name];
  return span.parentSpanId === '' || span.parentSpanId === spanId ? [span.name] : ['?', span.name];
}

describe('a call of MCP', () => {
  it('is one trace from the call to the commands on the host', async () => {
    const run = await start(
      'check_health',
      { host: 'pve1' },
      { traceparent: `00-${traceId}-${spanId}-01`, tracestate: 'caller=1' },
      // Of the connection, not of this call.
      { traceparent: `00-${'9'.repeat(32)}-${spanId}-01` },
    );
    expect(run.state).toBe('done');
    expect(run.trace).toBe(traceId);
    const spans = await spansOf(traceId, 'run check-health');
    const paths = spans.map((span) => pathOf(span, spans).join(' > '));
    expect(paths.filter((path) => path.startsWith('?'))).toEqual([]);
    const above = 'tools/call check_health > start check-health > begin check-health';
    expect(paths).toContain(`${above} > run check-health`);
    const commands = spans.filter(({ name }) => name.startsWith('command '));
    expect(commands.length).toBeGreaterThan(3);
    for (const command of commands) {
      expect(pathOf(command, spans).slice(0, 3).join(' > ')).toBe(above);
      expect(pathOf(command, spans)).toHaveLength(5);
      expect(command.attributes).toMatchObject({ 'proxmox_mcp.host': 'pve1', 'proxmox_mcp.by': 'ssh' });
    }
    expect(commands.some(({ attributes }) => Number(attributes['proxmox_mcp.stdout.bytes']) > 0)).toBe(true);
    expect(commands.some(({ attributes }) => attributes['process.exit.code'] === 0)).toBe(true);
    const call = spans.find(({ name }) => name.startsWith('tools/call'));
    expect(call).toMatchObject({ parentSpanId: spanId, kind: 2, service: 'proxmox-mcp-mcp' });
    const whole = spans.find(({ name }) => name === 'run check-health');
    expect(whole?.attributes).toMatchObject({
      'proxmox_mcp.outcome': 'done',
      'proxmox_mcp.target': 'pve1',
      'proxmox_mcp.risk': 'read',
      temporalWorkflowID: run.id,
    });
    // From its first moment to its last.
    expect(whole?.start).toBeLessThanOrEqual(Math.min(...commands.map(({ start }) => start)));
    expect(whole?.end).toBeGreaterThanOrEqual(Math.max(...commands.map(({ end }) => end)));
    expect(collector.spans.some((span) => span.traceId === '9'.repeat(32))).toBe(false);
  }, 180_000);

  it('that names its trace only in HTTP is in that', async () => {
    const trace = '8'.repeat(32);
    await start(
      'list_backups',
      { host: 'pve1' },
      { traceparent: 'nonsense' },
      { traceparent: `00-${trace}-${spanId}-01` },
    );
    const spans = await spansOf(trace, 'run list-backups');
    expect(spans.find(({ name }) => name === 'tools/call list_backups')?.parentSpanId).toBe(spanId);
  }, 180_000);

  it('that reads from Proxmox shows what it asked, without the values in its path', async () => {
    const trace = '7'.repeat(32);
    const meta = { traceparent: `00-${trace}-${spanId}-01` };
    const { last } = await ask(
      `${service.mcpUrl}/api/mcp`,
      token,
      'tools/call',
      { name: 'get_guest', arguments: { guest: 100 } },
      { meta },
    );
    expect(last.result?.isError, JSON.stringify(last)).toBeUndefined();
    const spans = await spansOf(trace, 'tools/call get_guest');
    const calls = spans.filter(({ name }) => name.startsWith('GET /'));
    expect(calls.map(({ attributes }) => attributes['url.template'])).toContain('/cluster/resources');
    expect(calls.every(({ name }) => !name.includes('100'))).toBe(true);
    expect(calls.every(({ attributes }) => attributes['http.response.status_code'] === 200)).toBe(true);
  }, 60_000);

  it('that is a change of a guest shows its task', async () => {
    const trace = '6'.repeat(32);
    const args = { operation: 'snapshot-guest', input: { host: 'pve1', vmid: 100, snapshot: 'traced' } };
    const run = await start('start_change', args, { traceparent: `00-${trace}-${spanId}-01` });
    expect(run.state, JSON.stringify(run.failure)).toBe('done');
    const spans = await spansOf(trace, 'run snapshot-guest');
    const task = spans.find(({ name }) => name.startsWith('POST /'));
    expect(task?.attributes['proxmox_mcp.upid']).toMatch(/^UPID:/);
    expect(spans.map((span) => pathOf(span, spans)).filter(([first]) => first === '?')).toEqual([]);
  }, 180_000);
});

describe('a run that nobody traced', () => {
  it('begins a trace of its own, which `runs get` and the log name', async () => {
    const run = await service.runs.start('list-backups', { host: 'pve1' }, { kind: 'cli', name: 'root' });
    const ended = await service.runs.wait(run.id, { timeoutMs: 120_000 });
    const trace = ended.trace ?? 'none';
    const spans = await spansOf(trace, 'run list-backups');
    expect(spans.map((span) => pathOf(span, spans)[0])).toEqual(spans.map(() => 'begin list-backups'));
    expect((await service.cli('runs', 'get', run.id)).stdout).toContain(`Trace ${trace}`);
    // A call of the API is logged where its span is.
    const lines = service
      .log('worker')
      .split('\n')
      .filter((line) => line.includes(trace));
    const logged: { span_id: string }[] = lines.map((line) => JSON.parse(line));
    expect(logged.length).toBeGreaterThan(0);
    for (const { span_id } of logged) expect(spans.map((span) => span.spanId)).toContain(span_id);
  }, 180_000);
});

describe('the collector', () => {
  it('gets its own header, and it stands nowhere else', () => {
    expect(collector.headers.at(-1)?.['x-key']).toBe(secretHeader);
    expect(collector.bodies.join()).not.toContain(secretHeader);
    expect(service.log('worker') + service.log('mcp')).not.toContain(secretHeader);
  });

  it('that is away, slow or answers garbage costs a run nothing', async () => {
    for (const answer of [
      () => {},
      (_: unknown, response: { end(text: string): void }) => response.end('{{{'),
      (_: unknown, response: { destroy(): void }) => response.destroy(),
    ]) {
      collector.answer(answer as never);
      const run = await start('list_backups', { host: 'pve1' }, {});
      expect(run.state).toBe('done');
    }
    collector.answer(undefined);
  }, 300_000);

  it('gets what is left when the worker ends', async () => {
    const trace = '5'.repeat(32);
    await start('list_backups', { host: 'pve1' }, { traceparent: `00-${trace}-${spanId}-01` });
    await service.killWorker('SIGTERM');
    expect(collector.spans.some((span) => span.traceId === trace && span.name === 'run list-backups')).toBe(true);
  }, 120_000);
});
