import { describe, expect, it } from 'vitest';
import { apiSchema } from '../../lab/proxmox/schema.ts';
import { canonicalPath, guestIn, nodeIn, segmentsOf } from '../../src/operations/api-path.ts';
import { problemsOfRead, problemsOfWrite } from '../../src/operations/api-rules.ts';
import { holdsSecret, isSecretName } from '../../src/operations/api-secrets.ts';
import { catalogue } from '../../src/operations/catalogue.generated.ts';

/** Every call of the API with a value in each place. */
const calls = Object.entries(apiSchema()).flatMap(([template, entry]) =>
  Object.entries(entry).map(([method, about]) => ({
    method,
    template,
    path: template.replaceAll(/\{(\w[\w-]*)\}/g, (_, name: string) => (name === 'vmid' ? '100' : 'x')),
    parameters: Object.keys(about?.parameters ?? {}),
  })),
);
const isRefused = (method: string, path: string, parameters = {}) =>
  (method === 'GET' ? problemsOfRead(path, parameters) : problemsOfWrite(method, path, parameters)).length > 0;

describe('paths', () => {
  it('are read as pveproxy reads them', () => {
    expect(segmentsOf('/nodes/pve1/qemu/100%2Fagent%2fexec')).toEqual([
      'nodes',
      'pve1',
      'qemu',
      '100',
      'agent',
      'exec',
    ]);
    expect(canonicalPath(' /api2/json/nodes/pve1/ ')).toBe('/nodes/pve1');
    for (const path of [
      '',
      'nodes',
      '/a//b',
      '/a/../b',
      '/a/./b',
      '/a b',
      '/a?b=1',
      '/a#b',
      '/%61',
      '/a\\b',
      '/a\u0000',
      '/a\u202e',
      `/${'a'.repeat(600)}`,
    ]) {
      expect(segmentsOf(path), path).toBeUndefined();
    }
  });

  it('say which guest and which node they are about', () => {
    expect(guestIn('/nodes/pve1/lxc/101/config')).toEqual({ node: 'pve1', type: 'lxc', vmid: 101 });
    expect(guestIn('/nodes/pve1/qemu')).toBeUndefined();
    expect(guestIn('/nodes/pve1/storage/100')).toBeUndefined();
    expect(nodeIn('/nodes/pve1/qemu/100')).toBe('pve1');
    expect(nodeIn('/cluster/options')).toBeUndefined();
  });
});

describe('changing calls', () => {
  it.each([
    ['PUT', '/access/acl'],
    ['POST', '/access/users/a@pve/token/x'],
    ['POST', '/access/ticket'],
    ['PUT', '/access/password'],
    ['PUT', '/access/roles/Administrator'],
    ['DELETE', '/access/users/root@pam'],
    ['POST', '/access/domains/x/sync'],
    ['POST', '/nodes/pve1/execute'],
    ['POST', '/nodes/pve1/termproxy'],
    ['POST', '/nodes/pve1/vncshell'],
    ['POST', '/nodes/pve1/qemu/100/vncproxy'],
    ['POST', '/nodes/pve1/lxc/100/mtunnel'],
    ['POST', '/nodes/pve1/qemu/100/remote_migrate'],
    ['POST', '/nodes/pve1/qemu/100/monitor'],
    ['POST', '/nodes/pve1/qemu/100/agent/exec'],
    ['POST', '/nodes/pve1/qemu/100%2Fagent%2Fexec'],
    ['POST', '/nodes/pve1/qemu/100/agent/set-user-password'],
    ['POST', '/nodes/pve1/certificates/custom'],
    ['POST', '/cluster/config/join'],
    ['POST', '/cluster/mapping/dir'],
    ['DELETE', '/nodes/pve1/storage/local/prunebackups'],
    ['DELETE', '/nodes/pve1/storage/local/content/local:backup/vzdump-qemu-100.vma.zst'],
    ['DELETE', '/nodes/pve1/storage/pbs/content/pbs:backup/vm/100/2026-01-01T00:00:00Z'],
    ['DELETE', '/nodes/pve1/storage/local/content/vzdump-qemu-100.vma.zst'],
    ['PUT', '/nodes/pve1/disks/wipedisk'],
    ['DELETE', '/nodes/pve1/disks/zfs/tank'],
    ['POST', '/nodes/pve1/qemu/100/status/start'],
  ])('%s %s is refused by name, with the reason and what to do', (method, path) => {
    const [problem] = problemsOfWrite(method, path, {});
    expect(problem?.field).toBe('path');
    expect(problem?.message.length).toBeGreaterThan(60);
  });

  it('that an operation makes better name it, and it is there', () => {
    const named = calls.flatMap(({ method, path }) =>
      (method === 'GET' ? [] : problemsOfWrite(method, path, {})).flatMap(
        ({ message }) => / Use ([a-z]+(?:-[a-z]+)+)[ .]/.exec(message)?.[1] ?? [],
      ),
    );
    expect(new Set(named).size).toBeGreaterThan(8);
    const operations = Object.values(catalogue).map(({ name }) => String(name));
    expect(named.filter((name) => !operations.includes(name) && name !== 'download-url')).toEqual([]);
  });

  it('of everybody’s rights are all refused', () => {
    const open = calls.filter(
      ({ method, path }) => method !== 'GET' && path.startsWith('/access') && !isRefused(method, path),
    );
    expect(open).toEqual([]);
  });

  it.each([
    ['PUT', '/nodes/pve1/qemu/100/config', { memory: 2048, sshkeys: 'ssh-ed25519 AAAA' }],
    ['PUT', '/nodes/pve1/qemu/100/sendkey', { key: 'ctrl-alt-delete' }],
    ['DELETE', '/nodes/pve1/storage/local/content/local:iso/a.iso', {}],
    ['POST', '/nodes/pve1/vzdump', { vmid: '100', remove: false }],
    ['POST', '/nodes/pve1/lxc', { vmid: 200, unprivileged: true }],
    ['POST', '/cluster/firewall/groups', { group: 'web' }],
    ['PUT', '/cluster/options', { max_workers: 4 }],
  ])('%s %s is let through', (method, path, parameters) => {
    expect(problemsOfWrite(method, path, parameters)).toEqual([]);
  });

  it.each([
    ['PUT', '/nodes/pve1/qemu/100/config', { cipassword: 'x' }, 'parameters.cipassword'],
    ['PUT', '/nodes/pve1/qemu/100/config', { args: '-vnc :1' }, 'parameters.args'],
    ['PUT', '/nodes/pve1/qemu/100/config', { hookscript: 'local:snippets/x' }, 'parameters.hookscript'],
    ['PUT', '/nodes/pve1/lxc/100/config', { dev0: '/dev/sda' }, 'parameters.dev0'],
    ['PUT', '/nodes/pve1/lxc/100/config', { unprivileged: 0 }, 'parameters.unprivileged'],
    ['POST', '/nodes/pve1/lxc', { vmid: 200 }, 'parameters.unprivileged'],
    ['POST', '/nodes/pve1/vzdump', { vmid: '100' }, 'parameters.remove'],
    ['POST', '/nodes/pve1/vzdump', { vmid: '100', remove: 0, script: '/x' }, 'parameters.script'],
    ['POST', '/storage', { storage: 'a', password: 'x' }, 'parameters.password'],
    ['POST', '/storage', { storage: 'a', 'encryption-key': 'x' }, 'parameters.encryption-key'],
    ['POST', '/storage', { storage: 'a', options: 'vers=3,password=x' }, 'parameters.options'],
    ['PUT', '/cluster/acme/plugins/x', { data: 'Q0Y=' }, 'parameters.data'],
    ['PUT', '/nodes/pve1/subscription', { key: 'pve2c-1' }, 'parameters.key'],
    ['PUT', '/cluster/notifications/endpoints/webhook/x', { header: ['name=a,value=b'] }, 'parameters.header'],
    ['PUT', '/nodes/pve1/config', { description: '-----BEGIN RSA PRIVATE KEY-----' }, 'parameters.description'],
  ])('%s %s with %j is refused by that field', (method, path, parameters, field) => {
    expect(problemsOfWrite(method, path, parameters).map((one) => one.field)).toContain(field);
  });
});

describe('reading calls', () => {
  it.each([
    '/nodes/pve1/vncwebsocket',
    '/nodes/pve1/qemu/100/vncwebsocket',
    '/nodes/pve1/qemu/100/agent/file-read',
    '/nodes/pve1/qemu/100/agent/exec-status',
    '/nodes/pve1/storage/local/file-restore/download',
    '/nodes/pve1/query-url-metadata',
    '/nodes/pve1/scan/cifs',
    '/nodes/pve1/rrd',
    '/nodes/pve1/qemu/100/rrd',
    '/nodes/pve1/storage/local/rrd',
  ])('GET %s is no harmless look', (path) => {
    expect(problemsOfRead(path, {})[0]?.message).toMatch(/is not done here: /);
  });

  it('are let through but for those', () => {
    const refused = calls.filter(({ method, path }) => method === 'GET' && isRefused(method, path));
    expect(refused.length).toBeLessThan(25);
    for (const path of [
      '/nodes/pve1/journal',
      '/nodes/pve1/qemu/100/agent/get-osinfo',
      '/access/permissions',
      '/cluster/resources',
    ]) {
      expect(problemsOfRead(path, {})).toEqual([]);
    }
  });
});

describe('names of secrets', () => {
  /** What sounds like a secret and is none. */
  const harmless = new Set(
    'author config-keys generate-password hotplug keyboard lock-token privs privsep ssh-public-keys sshkeys token-coefficient tokenid tokens unprivileged authid authsupported master-pubkey webauthn privileged username-claim'.split(
      ' ',
    ),
  );

  it('hold for everything in the API that sounds like one', () => {
    const names = new Set(calls.flatMap(({ parameters }) => parameters));
    const sounding = [...names].filter((name) => /pass|secret|token|key|cred|ticket|otp|priv|hmac|auth/i.test(name));
    expect(sounding.length).toBeGreaterThan(20);
    expect(sounding.filter((name) => !isSecretName(name) && !harmless.has(name))).toEqual([]);
  });

  it('aren’t all words', () => {
    for (const name of ['description', 'monkey', 'passthrough', 'keyboard', 'tokenid', 'memory']) {
      expect(isSecretName(name), name).toBe(false);
    }
    expect(holdsSecret('virtio,bridge=vmbr0')).toBe(false);
    expect(holdsSecret('apitoken=PVEAPIToken=a@pve!b=c')).toBe(true);
  });
});
