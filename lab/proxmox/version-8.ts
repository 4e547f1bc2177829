import type { SimulatorState } from './state.ts';

/**
 * Makes the cluster one of Proxmox VE 8.4 as far as rights go: one privilege for a guest's monitor and its agent, none
 * for replication. Its calls stay those of version 9.
 */
export function makeVersion8(state: SimulatorState): void {
  Object.assign(state.version, { version: '8.4.14', release: '8.4' });
  for (const [role, privileges] of state.roles) {
    const left = privileges.filter((name) => !name.startsWith('VM.GuestAgent.') && name !== 'VM.Replicate');
    const monitors = privileges.includes('VM.GuestAgent.Unrestricted');
    state.roles.set(role, monitors ? [...left, 'VM.Monitor'].sort() : left);
  }
}
