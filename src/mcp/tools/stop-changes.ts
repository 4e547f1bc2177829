import { z } from 'zod';
import { switchWords, toldLines } from '../../reports/switch.ts';
import { recordSwitch } from '../../runs/switch.ts';
import { defineTool } from '../define-tool.ts';
import { asRequester } from '../scopes.ts';

/** How long hosts are waited for. */
const tellMs = 5_000;

/** Anybody may: what it costs is a pause, and only a person who is an administrator ends it. No tool lifts it. */
export const stopChanges = defineTool({
  name: 'stop_changes',
  title: 'Stop all changes',
  description:
    'Kill switch, emergency: nothing changes anything any more, anywhere, until an administrator allows it. What is at work is undone. Only in danger, or when a person asks.',
  // Whoever may call anything may stop everything.
  risk: 'read',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  input: z.object({
    reason: z.string().trim().min(3).max(300).describe('Why, in a few words'),
  }),
  async handler({ reason }, { changeSwitch, ledger, config }, { caller }) {
    const timeZone = config.hosts[0]?.timeZone ?? 'UTC';
    const by = asRequester(caller);
    const before = await changeSwitch.get();
    const stopped = await changeSwitch.stop({ by, why: reason });
    if (!before.on) await recordSwitch(ledger, stopped, by, reason);
    const { hosts, ...state } = stopped.isSeen ? await changeSwitch.whenTold(tellMs) : stopped;
    const text = [
      switchWords({ ...state, ...(hosts && { hosts }) }, timeZone),
      ...toldLines({ ...state, ...(hosts && { hosts }) }, timeZone),
      ...(stopped.isSeen ? [] : ['No worker has said so yet; one that starts changes nothing until it is allowed.']),
      'Changes that run stop at their next step, and take back what they did. Only an administrator, signed in, allows changes again: npx proxmox-mcp changes allow --reason WHY',
    ];
    return { data: { ...state, hosts: hosts ?? [], isSeen: stopped.isSeen }, text: text.join('\n') };
  },
});
