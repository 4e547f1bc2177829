import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { downloadImage } from '../../src/operations/download-image.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

let lab: ApiChangeLab;
const content = Buffer.from('an image');
const sha256 = createHash('sha256').update(content).digest('hex');
const url = 'https://images.example.test/debian-13.qcow2';

beforeEach(async () => {
  lab = await createApiChangeLab();
  lab.simulator.state.web.downloads.set(url, { content });
});
afterEach(() => lab.close());

const operation = 'download-image';
const volumes = () =>
  lab.simulator.state.volumes.filter(({ content: kind }) => kind !== 'images' && kind !== 'rootdir');

describe('by URL', () => {
  it('is there, checked, after one task', async () => {
    const { output, upids, findings } = await lab.carryOutTwice(operation, { url, sha256 });
    expect(output).toEqual({
      node: 'pve1',
      volume: 'local:import/debian-13.qcow2',
      size: content.length,
      checked: true,
    });
    expect(upids).toHaveLength(1);
    expect(lab.writes()).toEqual(['POST /nodes/pve1/storage/local/download-url']);
    expect(findings).not.toContainEqual(expect.objectContaining({ verdict: 'warning' }));
  });

  it('without a checksum says so', async () => {
    const { look, findings, output } = await lab.carryOut(operation, { url });
    expect(output.checked).toBe(false);
    expect(look.plan.risks.join()).toContain('no checksum');
    expect(findings).toContainEqual(expect.objectContaining({ check: 'Checksum', verdict: 'warning' }));
  });

  it('with another checksum fails, and leaves nothing', async () => {
    const input = { url, sha256: 'a'.repeat(64) };
    const request = await lab.request(operation, input);
    const look = await lab.look(operation, input);
    await expect(lab.carryOutFrom(request, look)).rejects.toMatchObject({ code: 'command-failed' });
    await lab.undo(request, look);
    expect(volumes()).toEqual([]);
  });

  it('takes away what has come after all, and only what was not there before', async () => {
    const request = await lab.request(operation, { url, sha256 });
    const { look } = await lab.carryOut(operation, { url, sha256 });
    await lab.undo(request, look);
    expect(volumes()).toEqual([]);
    await lab.carryOut(operation, { url, sha256 });
    const again = await lab.request(operation, { url, sha256 });
    const second = await lab.carryOut(operation, { url, sha256 });
    await lab.undo(again, second.look);
    expect(volumes()).toHaveLength(1);
  });

  it('that is there already: without a checksum nothing is called', async () => {
    await lab.carryOut(operation, { url, sha256 });
    const { look } = await lab.carryOut(operation, { url });
    expect(look.steps).toEqual([]);
    expect(lab.writes()).toHaveLength(1);
  });
});

describe("of Proxmox's own list", () => {
  it('by the start of its name', async () => {
    const { output } = await lab.carryOutTwice(operation, { template: 'debian-12-standard' });
    expect(output).toMatchObject({
      volume: 'local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst',
      checked: true,
    });
    expect(lab.writes()).toEqual(['POST /nodes/pve1/aplinfo']);
  });

  it('is asked back where several start like that, or none', async () => {
    await expect(lab.look(operation, { template: 'debian' })).rejects.toMatchObject({
      code: 'not-found',
      remedy: expect.stringMatching(/debian-13-standard.*debian-12-standard/),
    });
    await expect(lab.look(operation, { template: 'windows' })).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('what lies', () => {
  it('a task that is OK and has brought nothing', async () => {
    lab.simulator.inject({ kind: 'silent' }, { task: 'download' });
    await expect(lab.carryOut(operation, { url, sha256 })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('has no local:import/debian-13.qcow2'),
    });
  });

  it('an empty file', async () => {
    lab.simulator.state.web.downloads.set(url, { content: Buffer.alloc(0) });
    await expect(lab.carryOut(operation, { url })).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('empty'),
    });
  });
});

describe('is refused before anything is done', () => {
  afterEach(() => expect(lab.writes()).toEqual([]));

  it.each([
    [{}, 'invalid-input', 'Neither'],
    [{ url, template: 'debian-12-standard' }, 'invalid-input', 'Both'],
    [{ url: 'http://images.example.test/debian-13.qcow2' }, 'invalid-input', 'http'],
    [{ url: 'https://images.example.test/debian-13.img.xz' }, 'invalid-input', 'nobody can tell'],
    [{ url: 'https://images.example.test/' }, 'invalid-input', 'no file name'],
    [{ url, storage: 'nowhere' }, 'not-found', 'nowhere'],
  ])('%j', async (input, code, message) => {
    await expect(lab.look(operation, input)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('a storage that does not hold such images, or is full', async () => {
    const storage = lab.simulator.state.storages.find(({ node }) => node === 'pve1');
    lab.simulator.inject({ kind: 'full-storage', storage: 'local' });
    await expect(lab.look(operation, { url })).rejects.toMatchObject({ message: expect.stringContaining('free') });
    Object.assign(storage ?? {}, { content: 'images' });
    await expect(lab.look(operation, { url })).rejects.toMatchObject({ code: 'invalid-input' });
  });

  it.each([
    'https://user:secret@images.example.test/a.iso',
    'ftp://x/a.iso',
    'file:///etc/shadow',
    'https://a b/c.iso',
  ])('the address %s, before a run keeps it', (address) => {
    expect(downloadImage.input.safeParse({ host: 'pve1', url: address }).success).toBe(false);
  });

  it.each(['../../etc/cron.d/x.iso', 'a/b.iso', '.hidden.iso'])('the file name %s', (filename) => {
    expect(downloadImage.input.safeParse({ host: 'pve1', url, filename }).success).toBe(false);
  });
});
