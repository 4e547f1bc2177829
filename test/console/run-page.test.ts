import { afterEach, describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.ts';
import { type HttpServing, serveHttp } from '../../src/mcp/serve.ts';
import type { Plan } from '../../src/operations/plan.ts';
import { shellUser } from '../../src/people/machine-users.ts';
import type { RunDetails } from '../../src/runs/runs.ts';
import { password, peopleOf } from '../people/people.ts';
import {
  ended,
  going,
  paused,
  samplePlan,
  sampleService,
  send,
  signIn,
  signInAs,
  waitsForApproval,
} from './lib/sample-service.ts';

let serving: HttpServing | undefined;

afterEach(async () => {
  await serving?.close();
  serving = undefined;
});

async function serve(runs: readonly RunDetails[], plans: readonly { plan: Plan; question?: string }[] = []) {
  const { people } = peopleOf();
  await people.add({ name: 'anna', role: 'administrator', password, first: true });
  await people.add({ name: 'bert', role: 'operator', password, first: false });
  await people.add({ name: 'olga', role: 'observer', password, first: false });
  const service = sampleService(runs, [], { people });
  const decided: unknown[] = [];
  Object.assign(service.runs, { decide: async (...args: unknown[]) => void decided.push(args) });
  const searched: unknown[] = [];
  Object.assign(service.ledger, {
    search: async (filter: unknown) => {
      searched.push(filter);
      return { records: plans.map(({ plan, question }) => ({ data: { ...plan, question } })), missing: [] };
    },
  });
  serving = await serveHttp(service, { version: '1' });
  const base = `http://127.0.0.1:${serving.port}`;
  const enter = async (name: string) => (await signInAs(base, { name, password })).cookie;
  const look = async (path: string, cookie: string) => {
    const response = await fetch(`${base}${path}`, { headers: { cookie }, redirect: 'manual' });
    return { status: response.status, location: response.headers.get('location'), html: await response.text() };
  };
  return { base, service, decided, searched, enter, look };
}

const textOf = (html: string) => html.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ');
const pathOf = ({ id }: RunDetails) => `/runs/${id}`;

describe('an approval', () => {
  it('is asked with its whole plan, what can go wrong, who is affected, who may and until when', async () => {
    const long = `POST /nodes/pve2/qemu ${'x'.repeat(5_000)} --and-then rm -rf /`;
    const run = waitsForApproval(['anna', 'carl'], {
      approval: { digest: samplePlan.digest, count: 2, approvers: ['anna', 'carl'], given: ['carl'], signed: false },
    });
    const plan = { ...samplePlan, steps: [...samplePlan.steps, { title: 'More', does: [long] }] };
    const { enter, look } = await serve([
      { ...run, progress: { ...(run.progress as never as object), plan } as never },
    ]);
    const { html, status } = await look(pathOf(run), await enter('anna'));
    expect(status).toBe(200);
    const text = textOf(html);
    // Nothing of what it does is cut off: its end may be what matters.
    expect(html).toContain(long);
    for (const part of [
      'A restore that breaks off leaves the guest without its disk',
      'Guest 102 (mail) stops for about 6 minutes',
      'The former disk is kept as an unused one for 7 days',
      'About 5 min 40 s, as it did lately',
      'POST /nodes/pve2/qemu/102/status/shutdown timeout=60',
      'running since 2026-11-20, config digest 4be1c9',
      samplePlan.digest,
      samplePlan.fingerprint,
      'Asked by mcp:claude-code',
    ]) {
      expect(text).toContain(part);
    }
    expect(text).toMatch(/Until in 23 h 4\d min .* Who 2 of these: anna, carl Said yes carl/);
    expect(html).not.toContain('http-equiv="refresh"');
  });

  it('is given with the question and the digest that were read, as the person', async () => {
    const run = waitsForApproval(['anna']);
    const { base, decided, enter, look } = await serve([run]);
    const cookie = await enter('anna');
    const { html } = await look(pathOf(run), cookie);
    const fields = Object.fromEntries(
      [...html.matchAll(/name="(run|question|digest)" value="([^"]+)"/g)].map(([, name = '', value = '']) => [
        name,
        value,
      ]),
    );
    expect(fields).toEqual({ run: run.id, question: 'q1', digest: samplePlan.digest });
    // Whoever runs these tests has a shell.
    const runsAs = shellUser();
    expect(textOf(html).includes(`this service runs as ${runsAs}, who has a shell here`)).toBe(runsAs !== undefined);
    const sent = await send(base, '/decide', cookie, { ...fields, choice: 'approve', reason: 'go' });
    expect(sent).toMatchObject({ status: 303, location: pathOf(run) });
    const answer = { question: 'q1', choice: 'approve', reason: 'go', digest: samplePlan.digest, via: 'page' };
    expect(decided).toEqual([[run.id, answer, { kind: 'person', name: 'anna' }]]);
    expect((await look(pathOf(run), cookie)).html).toContain('Answered: approve.');
  });

  it('is refused with a reason only', async () => {
    const run = waitsForApproval(['anna']);
    const { base, decided, enter } = await serve([run]);
    const cookie = await enter('anna');
    const fields = { run: run.id, question: 'q1', digest: samplePlan.digest, choice: 'refuse' };
    const without = await send(base, '/decide', cookie, { ...fields, reason: '  ' });
    expect(without.status).toBe(400);
    expect(without.html).toContain('A no needs a reason');
    expect(decided).toEqual([]);
    expect((await send(base, '/decide', cookie, { ...fields, reason: 'not tonight' })).status).toBe(303);
    expect(decided).toMatchObject([[run.id, { choice: 'refuse', reason: 'not tonight' }, { name: 'anna' }]]);
  });

  it('that was drifted away from or answered says so, where it asks anew', async () => {
    const run = waitsForApproval(['anna'], { id: 'q2' });
    const { base, service, enter } = await serve([run]);
    const message = 'It was not answered. The run has asked something else meanwhile: <read> it first.';
    Object.assign(service.runs, {
      decide: () => Promise.reject(new ServiceError({ code: 'conflict', message, remedy: 'Look at it.' })),
    });
    const fields = { run: run.id, question: 'q1', digest: '0'.repeat(64), choice: 'approve' };
    const { status, html } = await send(base, '/decide', await enter('anna'), fields);
    expect(status).toBe(409);
    expect(html).toContain('asked something else meanwhile: &lt;read&gt; it first.');
    expect(html).toContain('name="question" value="q2"');
  });

  it('that is asked again says what is otherwise than in the plan before', async () => {
    const run = waitsForApproval(['anna'], { id: 'q2' });
    const state = [{ name: 'Guest 102', value: 'running since 2026-11-19' }];
    const before = { ...samplePlan, state, digest: 'c3'.repeat(32) };
    const plans = [
      { plan: samplePlan, question: 'q2' },
      { plan: before, question: 'q1' },
    ];
    const { enter, look, searched } = await serve([run], plans);
    const { html } = await look(pathOf(run), await enter('anna'));
    expect(searched).toEqual([{ run: run.id, kind: 'plan', limit: 20 }]);
    expect(textOf(html)).toContain(
      'Guest 102: was running since 2026-11-19, is running since 2026-11-20, config digest 4be1c9',
    );
    expect(textOf(html)).toContain('Archive: new');
  });

  it.each([
    ['olga', ['anna'], [], 'You are none of those who may'],
    ['bert', ['anna'], [], 'You are none of those who may'],
    ['anna', ['anna', 'bert'], ['anna'], 'You have said yes already; it waits for others.'],
  ] as const)('is not offered to %s where %j may and %j have said yes', async (name, approvers, given, why) => {
    const run = waitsForApproval([...approvers], {
      approval: { digest: samplePlan.digest, count: 2, approvers: [...approvers], given: [...given], signed: false },
    });
    const { enter, look } = await serve([run]);
    const cookie = await enter(name);
    const { html } = await look(pathOf(run), cookie);
    expect(html).toContain(why);
    expect(html).not.toContain('action="/decide"');
    // They read it all the same.
    expect(html).toContain('vzdump-qemu-102-2026_11_25.vma.zst');
    expect((await look('/', cookie)).html).not.toContain('Read the plan and answer');
  });

  it('is not offered when its time is over', async () => {
    const run = waitsForApproval(['anna'], { until: '2026-11-20T08:00:00.000Z' });
    const { enter, look } = await serve([run]);
    expect((await look(pathOf(run), await enter('anna'))).html).toContain(
      'Its time was over at 2026-11-20 09:00:00 CET.',
    );
  });

  it('is never a token’s, however strong, nor an observer’s', async () => {
    const run = waitsForApproval(['anna', 'admin', 'olga']);
    const { base, decided, enter, look, service } = await serve([run]);
    const tried: unknown[] = [];
    const { requireWhoMayAnswer } = await import('../../src/runs/who-answers.ts');
    Object.assign(service.runs, {
      async decide(id: string, answer: unknown, by: never) {
        tried.push(by);
        requireWhoMayAnswer(id, { kind: 'approval' }, by);
        decided.push(answer);
      },
    });
    const fields = { run: run.id, question: 'q1', digest: samplePlan.digest, choice: 'approve' };
    const { cookie } = await signIn(base, 'admin-token');
    expect((await look(pathOf(run), cookie)).html).toContain('A token approves nothing: sign in as yourself');
    expect((await send(base, '/decide', cookie, fields)).status).toBe(403);
    expect((await send(base, '/decide', await enter('olga'), fields)).status).toBe(403);
    expect(decided).toEqual([]);
    expect(tried).not.toContainEqual(expect.objectContaining({ kind: 'person' }));
  });

  it('is not asked for where no worker tells the plan', async () => {
    const { progress: _, ...run } = waitsForApproval(['anna']);
    const { enter, look } = await serve([run]);
    const { html } = await look(pathOf(run), await enter('anna'));
    expect(html).toContain('No worker answers, so that its plan can not be shown.');
    expect(html).not.toContain('action="/decide"');
  });

  describe('that has to be signed', () => {
    const text = `proxmox-mcp plan 1\nhost: pve2 4be1c9\ncall: unit-restart nginx\n`;
    const signature = `-----BEGIN SSH SIGNATURE-----\n${'QUFB'.repeat(70)}\n-----END SSH SIGNATURE-----\n`;
    const signed = (toSign = [{ host: 'pve2', text }]) =>
      waitsForApproval(['anna'], {
        approval: { digest: samplePlan.digest, count: 1, approvers: ['anna'], given: [], signed: true, toSign },
      });
    const fieldsOf = ({ id }: RunDetails) => ({
      run: id,
      question: 'q1',
      digest: samplePlan.digest,
      choice: 'approve',
      'host-0': 'pve2',
    });

    it('says what to paste where the key is', async () => {
      const run = signed();
      const { enter, look } = await serve([run]);
      const { html } = await look(pathOf(run), await enter('anna'));
      expect(
        html,
      ).toContain(`ssh-keygen -Y sign -n proxmox-mcp-approval -f ~/.ssh/id_ed25519 &lt;&lt;&#39;END-OF-PLAN&#39;
${text}END-OF-PLAN</pre>`);
      expect(html).toContain(`npx proxmox-mcp runs decide ${run.id} approve --sign ~/.ssh/id_ed25519`);
      expect(html.match(/<textarea/g)).toHaveLength(1);
    });

    it('brings what was pasted to the run, whatever a terminal has made of its lines', async () => {
      const run = signed();
      const { base, decided, enter } = await serve([run]);
      const pasted = `  ${signature.replaceAll('\n', '\r\n  ')}`;
      const sent = await send(base, '/decide', await enter('anna'), { ...fieldsOf(run), 'signature-0': pasted });
      expect(sent.status).toBe(303);
      expect(decided).toMatchObject([[run.id, { signatures: [{ host: 'pve2', signature }] }, { name: 'anna' }]]);
    });

    it('is nothing with what is no signature, and its no needs none', async () => {
      const run = signed();
      const { base, decided, enter } = await serve([run]);
      const cookie = await enter('anna');
      const wrong = await send(base, '/decide', cookie, { ...fieldsOf(run), 'signature-0': 'approved' });
      expect(wrong.status).toBe(400);
      expect(wrong.html).toContain('This holds no signature of ssh-keygen');
      expect(decided).toEqual([]);
      const no = { ...fieldsOf(run), choice: 'refuse', reason: 'no' };
      expect((await send(base, '/decide', cookie, no)).status).toBe(303);
    });

    it('offers no text that would not be pasted as it is', async () => {
      const run = signed([{ host: 'pve2', text: `${text}\u202e\n` }]);
      const { enter, look } = await serve([run]);
      expect((await look(pathOf(run), await enter('anna'))).html).not.toContain('ssh-keygen -Y sign');
    });
  });

  it('stands on the first page, those that wait for the viewer before others', async () => {
    const mine = waitsForApproval(['bert']);
    const others = waitsForApproval(['anna']);
    const { enter, look } = await serve([others, mine]);
    const { html } = await look('/', await enter('bert'));
    const [first, second] = html.split('<article').slice(1);
    expect(first).toContain(`href="${pathOf(mine)}">Read the plan and answer`);
    expect(second).toContain(`href="${pathOf(others)}">Read the plan<`);
    expect(textOf(first ?? '')).toMatch(/1 of these: bert *, until in 23 h .* said yes: nobody yet/);
  });
});

describe('what a paused run asks', () => {
  it('is answered by an operator as themselves, and by no observer', async () => {
    const run = paused();
    const { base, decided, enter, look } = await serve([run]);
    const fields = { run: run.id, question: 'q1', choice: 'retry', reason: 'room again' };
    expect((await send(base, '/decide', await enter('olga'), fields)).status).toBe(403);
    expect(decided).toEqual([]);
    const cookie = await enter('bert');
    expect((await look(pathOf(run), cookie)).html).toContain('<button name="choice" value="retry">');
    expect((await send(base, '/decide', cookie, fields)).status).toBe(303);
    expect(decided).toMatchObject([[run.id, { choice: 'retry', via: 'page' }, { kind: 'person', name: 'bert' }]]);
  });
});

describe('a run', () => {
  it('that goes on shows how far it is, here and on the first page, and loads itself anew', async () => {
    const run = going({ waits: [{ step: 'Pack', why: 'x', attempt: 4, text: 'Pack: trying again in 40 s <4>' }] });
    const { base, look } = await serve([run]);
    const { cookie } = await signIn(base, 'reader-token');
    const { html } = await look(pathOf(run), cookie);
    expect(textOf(html)).toMatch(/Now Pack the archive .* done Collect running Pack 412 MiB of 1\.1 GiB to do Verify/);
    expect(html).toContain('Pack: trying again in 40 s &lt;4&gt;');
    expect(html).toContain(`content="5; url=${pathOf(run)}?again"`);
    const state = await look('/', cookie);
    expect(state.html).toContain('<progress max="3" value="1"');
    expect(state.html).toContain('content="10; url=/?again"');
  });

  it('that has ended shows its report, or why it did not do it, and leads on', async () => {
    const done = ended({ operation: 'check-health', target: 'pve1', hours: 1, verdict: 'warning' });
    const sections = [
      {
        title: 'Disks',
        findings: [
          {
            check: 'Space',
            verdict: 'warning',
            summary: 'little <left>',
            remedy: 'Make room.',
            evidence: '/dev/sda 91%',
          },
          { check: 'SMART', verdict: 'ok', summary: 'fine' },
        ],
      },
      { title: 'Table', columns: ['A'], rows: [['cell']] },
    ] as const;
    const result = { ...done.result, report: { ...done.result?.report, sections } } as never;
    const failed = ended({
      operation: 'back-up',
      target: 'pve2',
      state: 'undone',
      hours: 2,
      failure: { code: 'disk-full', message: 'The disk is full.', remedy: 'Make room.' },
      ending: { at: 'at step "Pack"', undone: ['Pack'], left: [] },
    });
    const { base, look } = await serve([{ ...done, result }, failed]);
    const { cookie } = await signIn(base, 'reader-token');
    const { html } = await look(pathOf(done), cookie);
    expect(html).toContain('little &lt;left&gt;');
    expect(textOf(html)).toMatch(/Space in Disks little .* To do: Make room\. \/dev\/sda 91%/);
    expect(html).toContain(`/ledger?run=${encodeURIComponent(done.id)}`);
    expect(html).toContain(`/workflows/${encodeURIComponent(done.id)}`);
    expect(html).not.toContain('http-equiv="refresh"');
    expect(textOf((await look(pathOf(failed), cookie)).html)).toContain(
      'The disk is full. Make room. It stopped at step &quot;Pack&quot;. Undone: Pack.',
    );
  });

  it('is counted by its kind of page, never by an id that somebody made up', async () => {
    const { base, look } = await serve([going()]);
    await look('/runs/made/up/by-somebody', '');
    const metrics = await (await fetch(`${base}/metrics`)).text();
    expect(metrics).toContain('"/runs/:id"');
    expect(metrics).not.toContain('by-somebody');
  });

  it('is found by a part of its id, at the whole one', async () => {
    const run = going();
    const { base, look, service } = await serve([run]);
    Object.assign(service.runs, { get: async () => run });
    const { cookie } = await signIn(base, 'reader-token');
    expect(await look('/runs/back-up', cookie)).toMatchObject({ status: 303, location: pathOf(run) });
  });

  it.each(['/runs/none', '/runs/%E0%A4%A', '/runs/a%00b'])('that is not there is not there: %s', async (path) => {
    const { base, look, service } = await serve([]);
    const error = new ServiceError({ code: 'not-found', message: 'There is no <run>', remedy: 'Look.' });
    Object.assign(service.runs, { get: () => Promise.reject(error) });
    const { cookie } = await signIn(base, 'reader-token');
    const { status, html } = await look(path, cookie);
    expect(status).toBe(404);
    expect(html).not.toContain('<run>');
  });

  it('shows no word of a plan or a host as anything but text', async () => {
    const evil = `"><img src=x onerror=alert(1)>\u202e\u001b[31m`;
    const plan = Object.fromEntries(
      Object.entries(samplePlan).map(([key, value]) => {
        if (key === 'steps') return [key, [{ title: evil, does: [evil] }]];
        if (key === 'state') return [key, [{ name: evil, value: evil }]];
        return [key, Array.isArray(value) ? [evil] : key === 'summary' ? evil : value];
      }),
    );
    const run = waitsForApproval(['anna'], { text: evil });
    const steps = [{ title: evil, state: 'running', note: evil }];
    const progress = { ...run.progress, message: evil, plan, steps };
    const { enter, look } = await serve([{ ...run, progress, target: evil, requestedBy: evil } as never]);
    const { html } = await look(pathOf(run), await enter('anna'));
    expect(html).toContain('&lt;img');
    expect(html).not.toContain('<img');
    for (const hidden of ['\u202e', '\u001b']) expect(html).not.toContain(hidden);
  });
});

describe('one host', () => {
  it('is looked at alone, in a tree of all', async () => {
    const { base, look, service } = await serve([
      ended({ operation: 'check-health', target: 'pve1', hours: 1, verdict: 'ok' }),
      ended({ operation: 'check-health', target: 'pve2', hours: 1, verdict: 'failed' }),
    ]);
    const { cookie } = await signIn(base, 'reader-token');
    const { html } = await look('/?host=pve2', cookie);
    expect(html).toContain('<h1>pve2</h1>');
    expect(html).toContain('href="/?host=pve2" aria-current="page"');
    expect(html).toContain('href="/?host=pve1"');
    expect(html).not.toContain('<strong>pve1</strong>');
    expect(service.asked).toContainEqual({ limit: 100, host: 'pve2' });
    expect((await look('/?host=nonsense', cookie)).html).toContain('<strong>pve1</strong>');
  });
});
