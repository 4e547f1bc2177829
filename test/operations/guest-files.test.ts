import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, fileText, utf8 } from '../../src/operations/file-text.ts';
import type { Reversal } from '../../src/operations/reversal.ts';
import { sendFile } from '../../src/operations/send-file.ts';
import { type ApiChangeLab, createApiChangeLab } from '../support/api-change.ts';

let lab: ApiChangeLab;
let files: Map<string, string | Uint8Array>;
beforeEach(async () => {
  lab = await createApiChangeLab();
  files = new Map<string, string | Uint8Array>([['/etc/motd', 'Willkommen zurück\n']]);
  const guest = lab.simulator.state.guests.get(100);
  if (guest === undefined) throw new Error('there is no such guest');
  if (guest.config) guest.config.agent = '1';
  guest.behaviour = { agent: { files } };
});
afterEach(() => lab.close());

const text = (path: string) => Buffer.from(files.get(path) ?? '').toString();

describe('send-file', () => {
  it('writes it, once, and puts back what was there', async () => {
    const input = { vmid: 100, path: '/etc/motd', content: 'Grüße \u{1f600}\n' };
    const request = await lab.request('send-file', input);
    const { output, look } = await lab.carryOutTwice('send-file', input);
    expect(text('/etc/motd')).toBe(input.content);
    expect(output).toMatchObject({ existed: true, before: 'Willkommen zurück\n', bytes: 13 });
    expect(lab.writes()).toEqual(['POST /nodes/pve1/qemu/100/agent/file-write']);
    await lab.undo(request, look);
    expect(text('/etc/motd')).toBe('Willkommen zurück\n');
  });

  it('is taken back by a run that finds what this one left', async () => {
    const input = { vmid: 100, path: '/etc/motd', content: 'new\n' };
    const { output } = await lab.carryOut('send-file', input);
    const reversal = sendFile.undo?.reverse({ host: 'pve1', ...input }, output) as Exclude<Reversal, { why: string }>;
    const back = await lab.look('send-file', reversal.input);
    for (const line of reversal.expects) expect(back.plan.state).toContainEqual(line);
    await lab.carryOut('send-file', reversal.input);
    expect(text('/etc/motd')).toBe('Willkommen zurück\n');
  });

  it('a new file stays, and that is said', async () => {
    const { look, output } = await lab.carryOut('send-file', { vmid: 100, path: '/tmp/new', content: 'x' });
    expect(look.plan.undo.join()).toContain('stays');
    const given = { host: 'pve1', vmid: 100, path: '/tmp/new', content: 'x' };
    expect(sendFile.undo?.reverse(given, output)).toHaveProperty('why');
  });

  it('has that content already: nothing is called', async () => {
    const { look } = await lab.carryOut('send-file', { vmid: 100, path: '/etc/motd', content: 'Willkommen zurück\n' });
    expect(look.steps).toEqual([]);
  });

  it('an answer without effect is found', async () => {
    lab.simulator.inject({ kind: 'silent' }, { method: 'POST' });
    await expect(lab.carryOut('send-file', { vmid: 100, path: '/etc/motd', content: 'new\n' })).rejects.toMatchObject({
      code: 'verification-failed',
    });
  });

  it.each(['etc/motd', '/etc/', '/etc/a\nb', ''])('refuses the path %j before a run begins', (path) => {
    expect(sendFile.input.safeParse({ host: 'pve1', vmid: 100, path, content: 'x' }).success).toBe(false);
  });

  it('refuses more than the agent takes, counted in bytes', () => {
    const input = { host: 'pve1', vmid: 100, path: '/a/b' };
    expect(sendFile.input.safeParse({ ...input, content: 'a'.repeat(46_080) }).success).toBe(true);
    expect(sendFile.input.safeParse({ ...input, content: 'ü'.repeat(23_041) }).success).toBe(false);
  });

  it.each([
    [101, 'container'],
    [120, 'No QEMU guest agent'],
  ])('refuses the guest %s', async (vmid, why) => {
    await expect(lab.look('send-file', { vmid, path: '/etc/motd', content: 'x' })).rejects.toMatchObject({
      message: expect.stringContaining(why),
    });
    expect(lab.writes()).toEqual([]);
  });
});

describe('fetch-file', () => {
  it('gives text as it is, and says whether there is more', async () => {
    files.set('/var/log/x', 'ü'.repeat(20_000));
    const { output, findings } = await lab.carryOut('fetch-file', { vmid: 100, path: '/etc/motd' });
    expect(output).toMatchObject({ content: 'Willkommen zurück\n', encoding: 'utf8', bytes: 19, more: false });
    expect(findings[0]).toMatchObject({ evidence: 'Willkommen zurück\n' });
    const part = await lab.carryOut('fetch-file', { vmid: 100, path: '/var/log/x', bytes: 1000, offset: 2000 });
    expect(part.output).toMatchObject({ content: 'ü'.repeat(500), more: true });
    expect(lab.writes()).toEqual([]);
  });

  it('gives anything else in base64', async () => {
    files.set('/bin/x', Buffer.from([0, 255, 1, 2]));
    const { output } = await lab.carryOut('fetch-file', { vmid: 100, path: '/bin/x' });
    expect(output).toMatchObject({ content: Buffer.from([0, 255, 1, 2]).toString('base64'), encoding: 'base64' });
  });

  it('shows nothing in its plan, which may be looked at before it is allowed', async () => {
    const look = await lab.look('fetch-file', { vmid: 100, path: '/etc/motd' });
    expect(JSON.stringify(look)).not.toContain('Willkommen');
  });

  it('says that there is no such file', async () => {
    await expect(lab.carryOut('fetch-file', { vmid: 100, path: '/nosuch' })).rejects.toMatchObject({
      message: expect.stringContaining('no /nosuch'),
    });
  });

  it('says what to do where no agent answers', async () => {
    const guest = lab.simulator.state.guests.get(100);
    if (guest) guest.behaviour = { agent: { state: 'missing' } };
    await expect(lab.carryOut('fetch-file', { vmid: 100, path: '/etc/motd' })).rejects.toMatchObject({
      code: 'conflict',
      remedy: expect.stringContaining('qemu-guest-agent'),
    });
  });
});

it.each(['', 'a', 'ab', 'abc', 'grüße \u{1f600}', '\u20ac'.repeat(100)])('%j goes to bytes and back', (content) => {
  expect(utf8(content)).toEqual([...Buffer.from(content)]);
  expect(fileText(bytesOf(Buffer.from(content).toString('latin1')))).toEqual({ content, encoding: 'utf8' });
});
