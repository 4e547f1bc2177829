export interface SimulatedPool {
  comment?: string;
  readonly vms: Set<number>;
  readonly storages: Set<string>;
}
