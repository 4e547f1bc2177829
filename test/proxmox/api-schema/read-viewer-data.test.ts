import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProxmoxSimulator, type ProxmoxSimulator } from '../../../lab/proxmox/simulator.ts';
import { ServiceError } from '../../../src/errors.ts';
import { readViewerData } from '../../../src/proxmox/api-schema/read-viewer-data.ts';
import { createApiSchema } from '../../../src/proxmox/api-schema/schema.ts';
import { configFor, failureOf, withClient } from '../support.ts';

const read = (text: string) => readViewerData(text, 'pve1');
const leaf = (path: string, info: unknown = { GET: { description: 'd' } }) => ({ path, info });
const file = (tree: unknown) => `const apiSchema = ${JSON.stringify(tree)};\n`;

function problem(text: string): string {
  try {
    read(text);
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'unexpected-answer') return error.message;
    throw error;
  }
  return 'none';
}

describe('the list in the data file', () => {
  it('is read from the file of this version and of older ones, whatever code is around it', () => {
    const list = JSON.stringify([leaf('/version')]);
    expect(read(`const apiSchema = ${list}\n;\nlet x = [1];`)).toEqual([leaf('/version')]);
    expect(read(`var pveapi = ${list};`)).toEqual([leaf('/version')]);
    expect(read(`// pveapi\nconst other = [];\n  let apiSchema=\n${list}`)).toEqual([leaf('/version')]);
  });

  it('ends where its own bracket is closed, whatever stands in its texts', () => {
    const tree = [leaf('/a', { GET: { description: 'a ] } "; [ { \\ \\" end \u2028 \n' } }), leaf('/b')];
    expect(read(`${file(tree)} ]]]}}}`)).toEqual(tree);
  });

  it.each([
    ['nothing', ''],
    ['a login page', '<html><script>login([1])</script></html>'],
    ['another name', 'const schema = [1];'],
    ['an object', 'const apiSchema = {};'],
    ['code in its place', 'const apiSchema = [...load()];'],
    ['a call after the list opens', 'const apiSchema = [process.exit(1)];'],
    ['a template text', 'const apiSchema = [`a`];'],
    ['single quotes', "const apiSchema = ['a'];"],
    ['a list that is cut off', 'const apiSchema = [{"path": "/a"'],
    ['a text that is cut off', 'const apiSchema = [{"path": "/a'],
    ['brackets that cross', 'const apiSchema = [{]}'],
    ['a name that comes late', `${' '.repeat(70_000)}\nconst apiSchema = [];`],
  ])('is not there in %s, which is said', (_what, text) => {
    expect(problem(text)).toMatch(/data file of pve1 .* can't be read/);
  });

  it('runs nothing of it', () => {
    delete (globalThis as { ran?: boolean }).ran;
    expect(problem('const apiSchema = [globalThis.ran = true];')).not.toBe('none');
    expect(read(`${file([leaf('/a')])}\nglobalThis.ran = true;`)).toHaveLength(1);
    expect((globalThis as { ran?: boolean }).ran).toBeUndefined();
  });

  it('is bounded in its depth and its parts, and quick to refuse', () => {
    const began = performance.now();
    expect(problem(`const apiSchema = ${'['.repeat(200_000)}`)).toContain('100 deep');
    expect(problem(`const apiSchema = ${'['.repeat(200_000)}${']'.repeat(200_000)}`)).toContain('100 deep');
    expect(problem(`const apiSchema = [${'[],'.repeat(300_000)}0]`)).toContain('too many parts');
    expect(problem(`${'\n'.repeat(4_000_000)}`)).toContain('assigns no list');
    expect(problem(`${'const '.repeat(500_000)}`)).toContain('assigns no list');
    expect(problem(`const apiSchema = ["${'\\'.repeat(8_000_001)}`)).toContain('has no end');
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  it('survives any mutilation with an error of ours or a list', () => {
    const whole = file([leaf('/a'), { ...leaf('/b'), children: [leaf('/b/{c}')] }]);
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    for (let round = 0; round < 3_000; round += 1) {
      const at = random(whole.length);
      const put = ['', '"', '\\', '[', ']', '{', '}', '\0', '__proto__', '\ud800'][random(10)] ?? '';
      const text = whole.slice(0, at) + put + whole.slice(at + random(6));
      try {
        createApiSchema(read(text));
      } catch (error) {
        expect(error).toBeInstanceOf(ServiceError);
      }
    }
  });
});

describe('the file of a host', () => {
  let simulator: ProxmoxSimulator;
  beforeAll(async () => {
    simulator = await createProxmoxSimulator({ authenticationDelayMs: 1 });
  });
  afterAll(() => simulator.close());
  const get = () => withClient(configFor(simulator), (client) => client.apiViewerData(), { retries: 0 });

  it('is fetched without the API token, and holds every call', async () => {
    const seen = simulator.requests.length;
    const schema = createApiSchema(read(await get()));
    expect(schema?.methods.length).toBeGreaterThan(600);
    expect(schema?.at('/nodes/{node}/qemu/{vmid}/config').has('PUT')).toBe(true);
    expect(JSON.stringify(simulator.requests.slice(seen))).not.toContain(simulator.tokens.full.secret);
  });

  it('is fetched over a pinned connection only', async () => {
    const trust = { kind: 'fingerprint', sha256: Array(32).fill('AA').join(':') } as const;
    const error = await failureOf(
      withClient(configFor(simulator, { trust }), (client) => client.apiViewerData(), { retries: 0 }),
    );
    expect(error.code).toBe('proxmox-certificate');
  });

  it.each(['missing', 'no-folder'] as const)('says where it is %s', async (state) => {
    simulator.state.apiViewer.file = state;
    expect((await failureOf(get())).code).toBe('proxmox-not-found');
  });

  it('is refused as soon as it is longer than 16 MiB', async () => {
    simulator.state.apiViewer.file = { body: 'x'.repeat(17 * 2 ** 20) };
    const error = await failureOf(get());
    expect(error).toMatchObject({ code: 'unexpected-answer' });
    expect(error.message).toContain('longer than 16 MiB');
  });
});
