import { createHash } from 'node:crypto';
import { guestAt } from '../guests/asked-guest.ts';
import type { Call, Route } from '../router.ts';
import { type SimulatedGuest, type SimulatedNode, unixTime } from '../state.ts';
import { nodeNamed } from './nodes.ts';
import { storageFor } from './storages.ts';

/** Of each span of time: how far its values are apart, and how many there are. */
const spans: Readonly<Record<string, readonly [seconds: number, count: number]>> = {
  hour: [60, 60],
  day: [1800, 48],
  week: [10_800, 56],
  month: [43_200, 60],
  year: [604_800, 52],
  decade: [604_800, 520],
};

type Wave = (what: string, around: number, share?: number) => number;

/** Figures over time. They are made up, and the same whenever one asks for the same moment. */
export const statisticsRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/nodes/{node}/rrddata',
    handle: (call) => {
      const node = nodeNamed(call.state, call.parameters);
      return { data: series(call, node.name, (wave) => nodeFigures(node, wave)) };
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/storage/{storage}/rrddata',
    handle: (call) => {
      const { storage, total, used } = storageFor(call);
      return { data: series(call, storage, (wave) => ({ total, used: wave('used', used, 0.01) })) };
    },
  },
  ...(['qemu', 'lxc'] as const).map(
    (type): Route => ({
      method: 'GET',
      path: `/nodes/{node}/${type}/{vmid}/rrddata`,
      handle: (call) => {
        const guest = guestAt(call, type);
        return { data: series(call, `${guest.vmid}`, (wave, time) => guestFigures(guest, wave, time)) };
      },
    }),
  ),
];

function series(
  { parameters }: Call,
  name: string,
  figures: (wave: Wave, time: number) => Record<string, number>,
): Record<string, number>[] {
  const [step, count] = spans[String(parameters.timeframe)] ?? [60, 60];
  const last = Math.floor(unixTime() / step) * step;
  return Array.from({ length: count }, (_, index) => {
    const time = last - (count - 1 - index) * step;
    const wave: Wave = (what, around, share = 0.2) => around * (1 + share * noise(`${name} ${what} ${time}`));
    return { time, ...figures(wave, time) };
  });
}

/** −1 to 1, always the same for the same words. */
function noise(words: string): number {
  return createHash('sha1').update(words).digest().readUInt32BE(0) / 2 ** 31 - 1;
}

const none = { arcsize: 0, pressurecpusome: 0, pressureiofull: 0, pressureiosome: 0, pressurememoryfull: 0 };

function nodeFigures({ cpus, memory, memoryUsed, disk, diskUsed, load }: SimulatedNode, wave: Wave) {
  const memused = wave('memory', memoryUsed, 0.05);
  return {
    ...none,
    pressurememorysome: 0,
    maxcpu: cpus,
    cpu: wave('cpu', load),
    iowait: wave('iowait', 0.002),
    loadavg: wave('load', load * cpus),
    memtotal: memory,
    memused,
    memavailable: memory - memused,
    swaptotal: 0,
    swapused: 0,
    roottotal: disk,
    rootused: wave('root', diskUsed, 0.01),
    netin: wave('netin', 120_000),
    netout: wave('netout', 80_000),
  };
}

/** A guest that is off leaves a gap: only the time is there. */
function guestFigures(guest: SimulatedGuest, wave: Wave, time: number): Record<string, number> {
  if (guest.status === 'stopped' || time < (guest.startedAt ?? 0)) return {};
  return {
    maxcpu: guest.cpus,
    cpu: wave('cpu', 0.02),
    maxmem: guest.memory,
    mem: wave('mem', guest.memory * 0.4, 0.1),
    memhost: wave('memhost', guest.memory * 0.45, 0.1),
    maxdisk: guest.disk,
    disk: guest.type === 'lxc' ? wave('disk', guest.disk * 0.2, 0.01) : 0,
    diskread: wave('diskread', 2048),
    diskwrite: wave('diskwrite', 4096),
    netin: wave('netin', 1024),
    netout: wave('netout', 512),
    pressurecpufull: 0,
    pressurecpusome: 0,
    pressureiofull: 0,
    pressureiosome: 0,
    pressurememoryfull: 0,
    pressurememorysome: 0,
  };
}
