import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';

const read = (path: string) => readFileSync(join(import.meta.dirname, '../..', path), 'utf8');
const { services } = parse(read('docker-compose.yml'), { merge: true }) as {
  readonly services: Readonly<
    Record<
      string,
      { readonly profiles?: readonly string[]; readonly restart: string; readonly stop_grace_period?: string }
    >
  >;
};
const core = /^core='(.*)'$/m.exec(read('deploy/host/settings.sh'))?.[1]?.split(' ') ?? [];

it('the scripts of the machine know which services are needed', () => {
  const lasting = Object.entries(services).filter(
    ([name, { profiles, restart }]) => !profiles && restart === 'unless-stopped' && name !== 'temporal-ui',
  );
  expect([...core].sort()).toEqual(lasting.map(([name]) => name).sort());
});

it('the unit has the time that its containers have to stop, and is started and stopped without Docker’s own unit', () => {
  const unit = read('deploy/systemd/proxmox-mcp.service');
  const seconds = (name: string) => Number.parseInt(services[name]?.stop_grace_period ?? '10', 10);
  const inTurn =
    seconds('caddy') + seconds('mcp-server') + seconds('worker') + seconds('temporal') + seconds('postgres');
  expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(inTurn);
  // Stopped or failed together with it, the unit would look as if somebody had stopped it, and the timer would leave it alone.
  expect(unit).toMatch(/^Wants=.*docker\.service/m);
  expect(unit).not.toMatch(/^(?:Requires|BindsTo|PartOf|Requisite)=/m);
});
