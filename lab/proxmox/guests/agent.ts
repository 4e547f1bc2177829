import { setTimeout as sleep } from 'node:timers/promises';
import { ApiFailure } from '../answer.ts';
import type { Call } from '../router.ts';
import type { SimulatedGuest } from '../state.ts';
import { atOnce, guestAt } from './asked-guest.ts';
import { parseProperties } from './volumes.ts';

/** What a program in a guest does when the agent runs it. Times in ms. */
export interface SimulatedRun {
  readonly output?: string;
  readonly errors?: string;
  /** Default 0. */
  readonly exitCode?: number;
  /** Ended by this signal instead. */
  readonly signal?: number;
  /** Default 10. */
  readonly takesMs?: number;
  /** Never ends. */
  readonly endless?: boolean;
}

/** What a guest's agent is and knows. Without one a running VM with `agent: 1` has one that answers. */
export interface SimulatedAgent {
  /** `missing`: not installed, or not started; `hangs`: it takes what it is asked and doesn't answer. */
  state?: 'answers' | 'missing' | 'hangs';
  /** What a program does; undefined for one that isn't there. */
  run?: (command: readonly string[], input: string) => SimulatedRun | undefined;
  /** By path. */
  files?: Map<string, string | Uint8Array>;
  /** As `network-get-interfaces` has them. */
  interfaces?: readonly Record<string, unknown>[];
  osinfo?: Readonly<Record<string, unknown>>;
  hostName?: string;
  /** Of the file systems, by fsfreeze. */
  frozen?: boolean;
}

/** The agent's own limit of what it keeps of a program's output, and reads of a file at once. */
const outputLimit = 16 * 2 ** 20;

interface Process {
  readonly run: SimulatedRun;
  readonly endsAt: number;
}

const processes = new WeakMap<SimulatedGuest, Map<number, Process>>();
let lastPid = 900;

/** The agent of a VM that can be asked, or Proxmox's words for why not. */
async function agentOf(
  call: Call,
  command: string,
): Promise<{ readonly guest: SimulatedGuest; readonly agent: SimulatedAgent }> {
  const guest = guestAt(call, 'qemu');
  const option = String(guest.config?.agent ?? '0');
  const { first, rest } = parseProperties(option);
  if ((rest.enabled ?? first) !== '1') throw new ApiFailure(500, 'No QEMU guest agent configured');
  if (guest.status !== 'running') throw new ApiFailure(500, `VM ${guest.vmid} is not running`);
  const agent = guest.behaviour?.agent ?? {};
  if (agent.state === 'missing' || guest.paused) throw new ApiFailure(500, 'QEMU guest agent is not running');
  if (agent.state === 'hangs') {
    await sleep(5 * call.state.pace.secondMs);
    throw new ApiFailure(500, `VM ${guest.vmid} qga command '${command}' failed - got timeout`);
  }
  return { guest, agent };
}

/** A command that only asks or says something. */
export async function askAgent(call: Call, command: string): Promise<{ readonly result: unknown }> {
  const { guest, agent } = await agentOf(call, `guest-${command}`);
  return { result: atOnce(() => answerOf(guest, agent, command)) };
}

function answerOf(guest: SimulatedGuest, agent: SimulatedAgent, command: string): unknown {
  switch (command) {
    case 'ping':
      return {};
    case 'network-get-interfaces':
      return agent.interfaces ?? interfacesOf(guest);
    case 'get-osinfo':
      return agent.osinfo ?? debian;
    case 'get-host-name':
      return { 'host-name': agent.hostName ?? guest.name };
    case 'info':
      return {
        version: '9.2.0',
        supported_commands: commands.map((name) => ({ name, enabled: true, 'success-response': true })),
      };
    case 'get-time':
      return Date.now() * 1_000_000;
    case 'get-timezone':
      return { zone: 'UTC', offset: 0 };
    case 'get-users':
      return [];
    case 'get-vcpus':
      return Array.from({ length: guest.cpus }, (_, index) => ({
        'logical-id': index,
        online: true,
        'can-offline': index > 0,
      }));
    case 'get-fsinfo':
      return [
        {
          name: 'sda1',
          mountpoint: '/',
          type: 'ext4',
          'total-bytes': guest.disk,
          'used-bytes': Math.floor(guest.disk / 4),
          disk: [],
        },
      ];
    case 'fsfreeze-freeze':
      if (agent.frozen)
        throw new Error('Agent error: Command guest-fsfreeze-freeze has been disabled: the agent is in frozen state');
      setFrozen(guest, true);
      return 1;
    case 'fsfreeze-thaw':
      setFrozen(guest, false);
      return agent.frozen ? 1 : 0;
    case 'fsfreeze-status':
      return agent.frozen ? 'frozen' : 'thawed';
    case 'fstrim':
      return { paths: [{ path: '/', trimmed: 0, minimum: 0 }] };
    default:
      throw new Error(`Agent error: The command guest-${command} has not been found`);
  }
}

function setFrozen(guest: SimulatedGuest, frozen: boolean): void {
  guest.behaviour = { ...guest.behaviour, agent: { ...guest.behaviour?.agent, frozen } };
}

const commands = [
  'guest-ping',
  'guest-exec',
  'guest-exec-status',
  'guest-file-open',
  'guest-file-read',
  'guest-file-write',
  'guest-get-osinfo',
  'guest-network-get-interfaces',
  'guest-fsfreeze-freeze',
  'guest-fsfreeze-thaw',
];

const debian = {
  id: 'debian',
  name: 'Debian GNU/Linux',
  'pretty-name': 'Debian GNU/Linux 13 (trixie)',
  version: '13 (trixie)',
  'version-id': '13',
  'kernel-release': '6.12.48+deb13-amd64',
  'kernel-version': '#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1',
  machine: 'x86_64',
};

/** The guest's own address, in the network that addresses of examples are from. */
export function addressOf({ vmid }: Pick<SimulatedGuest, 'vmid'>): string {
  return `198.51.${100 + (Math.floor(vmid / 254) % 100)}.${(vmid % 254) + 1}`;
}

function interfacesOf(guest: SimulatedGuest): Record<string, unknown>[] {
  const mac = /([0-9A-F]{2}:){5}[0-9A-F]{2}/i.exec(String(guest.config?.net0 ?? ''))?.[0]?.toLowerCase() ?? '';
  const address = (kind: string, value: string, prefix: number) => ({
    'ip-address-type': kind,
    'ip-address': value,
    prefix,
  });
  return [
    {
      name: 'lo',
      'hardware-address': '00:00:00:00:00:00',
      'ip-addresses': [address('ipv4', '127.0.0.1', 8), address('ipv6', '::1', 128)],
    },
    {
      name: 'ens18',
      'hardware-address': mac,
      'ip-addresses': [
        address('ipv4', addressOf(guest), 24),
        address('ipv6', `fe80::be24:11ff:fe00:${guest.vmid.toString(16)}`, 64),
      ],
    },
  ];
}

/** POST …/agent/exec: starts a program and gives its process id. */
export async function execute(call: Call): Promise<{ readonly pid: number }> {
  const { guest, agent } = await agentOf(call, 'guest-exec');
  const command = String(call.parameters.command ?? '').split('\0');
  const run = (agent.run ?? defaultRun)(command, String(call.parameters['input-data'] ?? ''));
  if (!run) {
    throw new ApiFailure(
      500,
      `Agent error: Guest agent command failed, error was: Failed to execute child process “${command[0]}” (No such file or directory)`,
    );
  }
  lastPid += 1;
  const own = processes.get(guest) ?? new Map<number, Process>();
  processes.set(guest, own);
  own.set(lastPid, { run, endsAt: run.endless ? Number.POSITIVE_INFINITY : Date.now() + (run.takesMs ?? 10) });
  return { pid: lastPid };
}

/** A shell's smallest: what it was told to say. */
function defaultRun(command: readonly string[], input: string): SimulatedRun | undefined {
  const [program = '', ...rest] = command;
  const name = program.replace(/^.*\//, '');
  if (name === 'echo') return { output: `${rest.join(' ')}\n` };
  if (name === 'true') return {};
  if (name === 'false') return { exitCode: 1 };
  if (name === 'cat' && rest.length === 0) return { output: input };
  if (name === 'uname') return { output: 'Linux\n' };
  if (name === 'hostname') return { output: 'guest\n' };
  return name === 'sleep' ? { takesMs: Number(rest[0] ?? 0) * 1000 } : undefined;
}

/** GET …/agent/exec-status: how it stands; of one that has ended it is said once. */
export async function executionStatus(call: Call): Promise<Record<string, unknown>> {
  const { guest } = await agentOf(call, 'guest-exec-status');
  const pid = Number(call.parameters.pid);
  const own = processes.get(guest);
  const process = own?.get(pid);
  if (!process) throw new ApiFailure(500, `Agent error: PID ${pid} does not exist`);
  if (Date.now() < process.endsAt) return { exited: 0 };
  own?.delete(pid);
  const { output, errors, exitCode = 0, signal } = process.run;
  return {
    exited: 1,
    ...(signal === undefined ? { exitcode: exitCode } : { signal }),
    ...captured('out', output),
    ...captured('err', errors),
  };
}

function captured(stream: 'out' | 'err', text: string | undefined): Record<string, unknown> {
  if (text === undefined || text === '') return {};
  if (Buffer.byteLength(text) <= outputLimit) return { [`${stream}-data`]: text };
  return { [`${stream}-data`]: Buffer.from(text).subarray(0, outputLimit).toString(), [`${stream}-truncated`]: 1 };
}

/** GET …/agent/file-read: at most 16 MiB, and said when there is more. */
export async function readFile(call: Call): Promise<Record<string, unknown>> {
  const { agent, guest } = await agentOf(call, 'guest-file-open');
  const { file, count = outputLimit, offset = 0, decode = 1 } = call.parameters;
  const content = filesOf(guest, agent).get(String(file));
  if (content === undefined)
    throw new ApiFailure(500, `Agent error: failed to open file '${file}' (mode: 'r'): No such file or directory`);
  const bytes = Buffer.from(content);
  const part = bytes.subarray(Number(offset), Number(offset) + Number(count));
  const isCut = Number(offset) + part.length < bytes.length;
  return {
    content: decode === 0 ? part.toString('base64') : part.toString('latin1'),
    'bytes-read': part.length,
    ...(isCut ? { truncated: 1 } : {}),
  };
}

/** POST …/agent/file-write: replaces the file; text that is base64 already comes with `encode=0`. */
export async function writeFile(call: Call): Promise<null> {
  const { agent, guest } = await agentOf(call, 'guest-file-open');
  const { file, content, encode = 1 } = call.parameters;
  if (/\/$/.test(String(file)))
    throw new ApiFailure(500, `Agent error: failed to open file '${file}' (mode: 'wb'): Is a directory`);
  const bytes = Buffer.from(String(content), encode === 0 ? 'base64' : 'utf8');
  filesOf(guest, agent).set(String(file), bytes);
  return null;
}

function filesOf(guest: SimulatedGuest, agent: SimulatedAgent): Map<string, string | Uint8Array> {
  if (agent.files) return agent.files;
  const files = new Map<string, string | Uint8Array>([['/etc/hostname', `${guest.name}\n`]]);
  guest.behaviour = { ...guest.behaviour, agent: { ...agent, files } };
  return files;
}

/** GET …/lxc/{vmid}/interfaces: the container's own, read by the host. */
export function containerInterfaces(call: Call): unknown {
  const guest = guestAt(call, 'lxc');
  if (guest.status !== 'running') return null;
  if (guest.behaviour?.agent?.interfaces) return guest.behaviour.agent.interfaces;
  const mac = /hwaddr=([0-9A-F:]+)/i.exec(String(guest.config?.net0 ?? ''))?.[1]?.toLowerCase();
  const set = /(?:^|,)ip=(\d[\d.]+)\/(\d+)/.exec(String(guest.config?.net0 ?? ''));
  const [ip, prefix] = [set?.[1] ?? addressOf(guest), Number(set?.[2] ?? 24)];
  const lo = { name: 'lo', 'hardware-address': '00:00:00:00:00:00', hwaddr: '00:00:00:00:00:00' };
  // Without a network nobody has brought that up, either.
  if (mac === undefined) return [{ ...lo, 'ip-addresses': [] }];
  return [
    {
      ...lo,
      inet: '127.0.0.1/8',
      inet6: '::1/128',
      'ip-addresses': [
        { 'ip-address-type': 'inet', 'ip-address': '127.0.0.1', prefix: 8 },
        { 'ip-address-type': 'inet6', 'ip-address': '::1', prefix: 128 },
      ],
    },
    ...(mac === undefined
      ? []
      : [
          {
            name: 'eth0',
            'hardware-address': mac,
            hwaddr: mac,
            inet: `${ip}/${prefix}`,
            'ip-addresses': [{ 'ip-address-type': 'inet', 'ip-address': ip, prefix }],
          },
        ]),
  ];
}
