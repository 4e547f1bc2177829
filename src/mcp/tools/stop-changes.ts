import { z } from 'zod';
import { quote, quoteNotice } from '../../reports/quote.ts';
import { switchWords, toldLines } from '../../reports/switch.ts';
import { recordSwitch } from '../../runs/switch.ts';
import { defineTool } from '../define-tool.ts';
import { asRequester } from '../scopes.ts';

/** How long hosts are waited for. */
const tellMs = 5_000;

/** Anybody may: what it costs is a pause, and only a person who is an administrator ends it. No tool lifts it. */
export const stopChanges = defineTool({
  name: 'stop_changes',
  title: 'Kill switch',
  description:
    'Emergency: nothing changes anything, anywhere, until an administrator allows it. Only in danger, or when a person asks.',
  // Whoever may call anything may stop everything.
  risk: 'read',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  input: z.object({
    reason: z.string().trim().min(3).max(300).describe('Why'),
  }),
  async handler({ reason }, { changeSwitch, ledger, config }, { caller }) {
    const timeZone = config.hosts[0]?.timeZone ?? 'UTC';
    const by = asRequester(caller);
    const before = await changeSwitch.get();
    const stopped = await changeSwitch.stop({ by, why: reason });
    if (!before.on) await recordSwitch(ledger, stopped, by, reason);
    const state = stopped.isSeen ? await changeSwitch.whenTold(tellMs) : stopped;
    const said = [switchWords(state, timeZone), ...toldLines(state, timeZone)].map((line) => quote(line));
    const note = `All changes are stopped. ${quoteNotice}`;
    const next = [
      ...(stopped.isSeen ? [] : ['No worker has said so yet; one that starts changes nothing until it is allowed.']),
      'Changes that run stop at their next step, and take back what they did. Only an administrator, signed in, allows changes again: npx proxmox-mcp changes allow --reason WHY',
    ];
    return {
      data: { note, on: state.on, isSeen: stopped.isSeen, said, next },
      text: [note, ...said, ...next].join('\n'),
    };
  },
});
