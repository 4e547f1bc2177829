import { z } from 'zod';
import type { OperationDefinition, Risk, RiskByField } from '../../../src/operations/definition.ts';
import { dryRun, hostName, vmid } from '../../../src/operations/inputs.ts';
import type { TargetKind } from '../../../src/operations/target.ts';

/** What is asked for daily, with a tool of its own. */
const direct = new Set([
  'check-health',
  'back-up',
  'control-guest',
  'control-service',
  'check-updates',
  'review-logs',
  'restore',
  'run-command',
]);

/**
 * One operation a line: name, risk (or a field's values with theirs), target, summary, more of the description, fields
 * (`name: what it is`, or `name=one|other` for a choice).
 */
const lines = `
check-health; read; host; Look at a host: service, containers, endpoints, resources, security, recent issues.; Verdict per line with evidence and one overall. Changes nothing.; mail: whether to mail the report to the administrators
watch; read; host; Alert by mail, Slack or Discord when a service or its health endpoint fails.; One long-lived watch per host, with repeats and recovery handled.; channel=mail|slack|discord
review-logs; read; host; Read a day's logs: sudo, authentication, journal, containers.; Failed logins, blocked commands, errors by unit, with a summary.; since: how far back to read; unit: only this systemd unit
audit-security; read; host; Audit security: users, key ages, file permissions, containers, open ports.; Says what drifted since the last audit.; depth=brief|full
report-performance; read; fleet; Measure response times and resource trends over a month.; Mean, median, minimum, maximum and 95th percentile; CPU, memory, disk growth.; days: period of the report
check-updates; read; host; List pending updates: OS packages, container images, Docker, reboot needed.; Which are security fixes, and from where they come.; securityOnly: only security updates
check-certificates; read; host; Look at TLS certificates of Proxmox and of the proxy, and when they expire.; Warns before a certificate runs out, checks its names and its chain.; daysBefore: warn so many days before the end
maintain; change; fleet; Run the weekly, monthly or quarterly maintenance in the guide's order.; Child runs of the other operations, one report.; period=weekly|monthly|quarterly
clean-up; change; host; Free disk space: rotate logs, prune Docker, autoremove packages.; Removes what nobody uses any more: old logs, dangling images, apt caches.; what=logs|docker|packages|all
back-up; change; host; Archive a host's installation: configuration, keys, sudoers and Docker volumes.; Checksummed, read back, kept for seven days. Does not back up guests.; kind=daily|full
back-up-guest; change; guest; Back up a VM or container with vzdump or to Proxmox Backup Server.; Snapshot, suspend or stop mode; verified after it was written.; storage: where the archive goes; mode=snapshot|suspend|stop
verify-backup; read; host; Check that archives can be read, match their sources, and are young enough.; Integrity, checksums, age, without restoring anything.; newest: only the newest archive
restore; dangerous; host; Bring back an installation from an archive, whole or in part.; Configuration, keys, volumes or one file; overwrites what is there.; archive: path of the archive; part=all|configuration|keys|volumes|file
restore-guest; dangerous; guest; Bring back a VM or container from its backup.; Overwrites the guest, or makes a new one beside it.; archive: backup volume; newVmid: number of a new guest
test-recovery; change; host; Prove that backups can be restored: into an isolated place, started, probed, removed.; Measures recovery time and recovery point (RTO, RPO). A drill for disasters.; scope=installation|guests
rotate-ssh-key; dangerous; fleet; Make a new SSH key, prove it on every host, switch to it, and prove that the old one is refused.; Quarterly, or at once when a key may be stolen.; keyType=ed25519|rsa
rotate-api-token; dangerous; host; Replace the Proxmox API token by a new one of equal rights.; The old one is deleted and proved dead.; tokenName: name of the new API token
upgrade-system; dangerous; host; Upgrade Debian and Proxmox VE packages, reboot if needed, verify, roll back.; apt dist-upgrade with a backup before; rolling over the nodes of a cluster.; reboot=never|if-needed
upgrade-docker; dangerous; host; Upgrade the Docker engine and Compose.; Verified with the containers that run; rolled back if one does not come up.; version: version to install
upgrade-application; change; host; Upgrade the application's container images by digest behind a health gate.; Without downtime; back to the old digest if it is not healthy.; image: image and tag
update-configuration; change; host; Change settings of the installation: .env, compose file, port, domain, TLS.; Validated, applied, verified, rolled back.; key: name of the setting; value: its new value
apply-security-policy; dangerous; host; Install sudoers rules and SSH hardening, reverted by itself if access is lost.; Validates with visudo; scans images for vulnerabilities.; policy: name of the policy
tune-system; change; host; Set kernel parameters (sysctl) and Docker daemon settings for performance.; Swappiness, buffers, container limits, ulimits.; profile=balanced|throughput|latency
roll-back; dangerous; host; Go back to an earlier state of the application, the configuration or the system.; To a chosen earlier version or snapshot.; to: the state to go back to
recover-service; change; host; Bring a failed service up again, from restart to rebuild.; Restart, restart containers, rebuild, then people.; level=restart|containers|rebuild
control-service; action: status=read start=change stop=change restart=change reload=change enable=change disable=change; host; Start, stop, restart, reload, enable or disable a systemd unit, or see its status.; Only units of the host's list. The effect is verified.; unit: systemd unit, e.g. nginx.service; action=status|start|stop|restart|reload|enable|disable
control-containers; action: list=read up=change down=dangerous restart=change pull=change exec=dangerous; host; Docker Compose up, down, restart, pull; one container's start, stop, exec.; For the installation's own containers.; container: name of the container; action=list|up|down|restart|pull|exec
control-guest; action: start=change shutdown=change reboot=change stop=dangerous reset=dangerous; guest; Start, shut down, reboot, stop or reset a virtual machine or container.; Power of a VM (QEMU) or container (LXC); stop pulls the plug.; action=start|shutdown|reboot|stop|reset
list-guests; read; fleet; List virtual machines and containers with state, node, memory and disk.; Where each guest (VM, CT) runs, and how much it uses.; running: only those that run
show-guest; read; guest; Show one VM's or container's configuration, state and use.; CPU, memory, network cards, disks, agent's addresses.; pending: also changes that wait for a reboot
create-vm; change; host; Make a new virtual machine from an ISO image or a cloud image.; CPU, memory, disk, network bridge, cloud-init.; name: name of the VM; cores: number of cores; memory: MiB
create-container; change; host; Make a new LXC container from a template.; Unprivileged by default, with its root disk and network.; name: host name of the container; template: the template's volume
clone-guest; change; guest; Copy a VM or container, full or linked, or a template to a new guest.; Full copies are independent of their source.; newVmid: number of the copy; full: whether it is a full copy
configure-guest; change; guest; Change a guest's hardware: cores, memory, network card, boot order, autostart.; Says what needs a reboot of the guest.; cores: number of cores; memory: MiB
resize-disk; change; guest; Make a guest's disk larger.; Disks grow and never shrink; the file system inside is another matter.; disk: e.g. scsi0; size: new size, e.g. +10G
move-disk; change; guest; Move a guest's disk to another storage.; While it runs; the source is kept until it is verified.; disk: e.g. scsi0; storage: the target storage
migrate-guest; change; guest; Move a running guest to another node of its cluster.; Live migration with or without shared storage.; node: the target node; online: while it runs
snapshot-guest; change; guest; Take a snapshot of a VM or container.; With or without memory; before an upgrade, for example.; name: name of the snapshot; memory: with the memory
revert-snapshot; dangerous; guest; Put a guest back to one of its snapshots.; What was written since is lost.; name: name of the snapshot
delete-snapshot; change; guest; Remove a snapshot of a guest and merge its disks.; Frees the space that it holds.; name: name of the snapshot
delete-guest; dangerous; guest; Destroy a VM or container with its disks.; Never without a verified backup, unless told so.; purge: also from jobs and replication
run-in-guest; dangerous; guest; Execute a program inside a VM through its guest agent or in a container.; With a bound on time and output.; program: the program and its arguments
convert-template; dangerous; guest; Turn a VM into a template.; It can't be started again afterwards.; disk: only this disk
list-storage; read; host; List storages with their kind, content, size and free space.; ZFS, LVM-thin, NFS, Ceph, directory, PBS.; content=images|backup|iso|vztmpl
download-image; change; host; Download an ISO image or container template from a URL to a storage.; Checked against its checksum.; url: where it is; checksum: sha256
check-disks; read; host; Look at the SMART state and wear of disks, and at ZFS pools.; Reallocated sectors, temperature, scrub age, degraded pools.; device: only this disk
scrub-pool; change; host; Start a scrub of a ZFS pool and follow it.; Reads all data and repairs it from redundancy.; pool: name of the pool
replace-disk; dangerous; host; Exchange a failed disk of a ZFS pool and resilver.; Follows the resilver to its end.; old: the failed device; new: the new device
check-cluster; read; fleet; Look at a cluster: quorum, corosync links, nodes, high availability, replication.; Split brain, late nodes, failed replication jobs.; node: only this node
enter-maintenance; change; host; Empty a node: move its guests away and keep new ones from it.; Before a reboot or repair of the hardware.; target: where its guests go
configure-ha; change; guest; Put a guest under high availability or take it out.; Group, priority, restarts.; state=started|stopped|ignored; group: the HA group
configure-replication; change; guest; Replicate a guest's disks to another node on a schedule.; ZFS replication jobs.; node: the target node; schedule: when
show-firewall; read; host; Show firewall rules of a cluster, host or guest, and what they let through.; Which ports are open to whom.; level=cluster|host|guest
change-firewall; dangerous; host; Add, change or remove firewall rules, reverted by itself if access is lost.; Ports, sources, security groups.; rule: the rule; position: where it goes
show-network; read; host; Show bridges, bonds, VLANs, addresses and routes of a host.; And whether the cables are in.; interface: only this one
change-network; dangerous; host; Change bridges, bonds, VLANs or addresses of a host, reverted if it is unreachable.; ifreload with a timer that puts the old file back.; interface: the interface; address: its new address
manage-users; action: list=read add=dangerous remove=dangerous disable=dangerous; host; List, add, remove or disable users of Proxmox and their permissions.; Roles, realms, groups, two-factor.; action=list|add|remove|disable; user: e.g. anna@pve
reboot-host; dangerous; host; Reboot a node, with its guests shut down or moved away first.; Waits until it is back and its guests run.; guests=shutdown|migrate
run-command; dangerous; host; Run any command on a host, classified and approved.; Only where an administrator has enabled it.; command: the argument vector
change-api; dangerous; host; Make any writing call of the Proxmox API, checked against its schema.; POST, PUT or DELETE of a path.; path: the API's path; method=POST|PUT|DELETE
`;

/** Sixty operations as the catalogue may hold one day: what search and the size of the definitions are measured with. */
export const sixtyOperations: readonly OperationDefinition[] = lines.trim().split('\n').map(operationOf);

function operationOf(line: string): OperationDefinition {
  const [name = '', risk = '', target = '', summary = '', more = '', ...fields] = line.split('; ');
  const title = name.replaceAll('-', ' ');
  return {
    name,
    title: `${title[0]?.toUpperCase()}${title.slice(1)}`,
    summary,
    description: `${summary} ${more}`,
    guide: 'Operations',
    target: target as TargetKind,
    needs: 'either',
    risk: riskIn(risk),
    exposure: direct.has(name) ? 'direct' : 'search',
    idempotent: false,
    input: z.object({
      ...(target === 'fleet' ? { hosts: z.array(hostName()).optional() } : { host: hostName() }),
      ...(target === 'guest' ? { vmid: vmid() } : {}),
      ...Object.fromEntries(fields.map(fieldOf)),
      ...(risk === 'read' ? {} : { dryRun: dryRun() }),
    }),
    output: z.object({ done: z.boolean() }),
    steps: ['Look', 'Do', 'Verify'],
    schedules: [],
  };
}

function riskIn(text: string): Risk | RiskByField {
  if (!text.includes(':')) return text as Risk;
  const [by = '', values = ''] = text.split(': ');
  return { by, of: Object.fromEntries(values.split(' ').map((pair) => pair.split('='))) };
}

function fieldOf(text: string): [string, z.ZodType] {
  const [choice, values] = text.split('=');
  if (values !== undefined) return [choice ?? '', z.enum(values.split('|'))];
  const [name = '', description = ''] = text.split(': ');
  return [name, z.string().max(200).optional().describe(description)];
}
