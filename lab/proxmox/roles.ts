const privileges = `
Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit Group.Allocate Mapping.Audit
Mapping.Modify Mapping.Use Permissions.Modify Pool.Allocate Pool.Audit Realm.Allocate Realm.AllocateUser SDN.Allocate
SDN.Audit SDN.Use Sys.AccessNetwork Sys.Audit Sys.Console Sys.Incoming Sys.Modify Sys.PowerMgmt Sys.Syslog User.Modify
VM.Allocate VM.Audit VM.Backup VM.Clone VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk
VM.Config.HWType VM.Config.Memory VM.Config.Network VM.Config.Options VM.Console VM.GuestAgent.Audit
VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite VM.GuestAgent.Unrestricted VM.Migrate
VM.PowerMgmt VM.Replicate VM.Snapshot VM.Snapshot.Rollback`
  .trim()
  .split(/\s+/);

export const administrator = 'Administrator';
/** Takes away what a role higher up the path would give. */
export const noAccess = 'NoAccess';

/** What a role of one area holds: to look, to use, to manage. */
const areas: Readonly<Record<string, Partial<Record<'audit' | 'user' | 'admin', readonly string[]>>>> = {
  VM: {
    audit: ['VM.Audit', 'VM.GuestAgent.Audit'],
    user: [
      'VM.Backup',
      'VM.Config.CDROM',
      'VM.Config.Cloudinit',
      'VM.Console',
      'VM.GuestAgent.FileRead',
      'VM.GuestAgent.FileSystemMgmt',
      'VM.GuestAgent.FileWrite',
      'VM.PowerMgmt',
    ],
    admin: [
      'VM.Allocate',
      'VM.Clone',
      'VM.Config.CPU',
      'VM.Config.Disk',
      'VM.Config.HWType',
      'VM.Config.Memory',
      'VM.Config.Network',
      'VM.Config.Options',
      'VM.GuestAgent.Unrestricted',
      'VM.Migrate',
      'VM.Replicate',
      'VM.Snapshot',
      'VM.Snapshot.Rollback',
    ],
  },
  Sys: { audit: ['Sys.Audit'], admin: ['Sys.Console', 'Sys.Syslog'] },
  Datastore: {
    audit: ['Datastore.Audit'],
    user: ['Datastore.AllocateSpace'],
    admin: ['Datastore.Allocate', 'Datastore.AllocateTemplate'],
  },
  SDN: { audit: ['SDN.Audit'], user: ['SDN.Use'], admin: ['SDN.Allocate'] },
  User: { admin: ['Group.Allocate', 'Realm.AllocateUser', 'User.Modify'] },
  Pool: { audit: ['Pool.Audit'], user: ['Pool.Audit'], admin: ['Pool.Allocate'] },
  Mapping: { audit: ['Mapping.Audit'], user: ['Mapping.Use'], admin: ['Mapping.Modify'] },
};

/** The built-in roles of Proxmox VE 9.1. They can't be changed. */
export const roles: Readonly<Record<string, readonly string[]>> = {
  [administrator]: privileges,
  [noAccess]: [],
  PVEAuditor: privileges.filter((name) => name.endsWith('.Audit')),
  PVETemplateUser: ['VM.Audit', 'VM.Clone'],
  PVEAdmin: sorted(
    Object.values(areas).flatMap(({ audit = [], user = [], admin = [] }) => [...audit, ...user, ...admin]),
  ).filter((name) => name !== 'Mapping.Modify'),
  ...Object.fromEntries(
    Object.entries(areas).flatMap(([area, { audit = [], user = [], admin = [] }]) => [
      [`PVE${area}Admin`, sorted([...audit, ...user, ...admin])],
      ...(user.length > 0 ? [[`PVE${area}User`, sorted([...audit, ...user])]] : []),
    ]),
  ),
};

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
