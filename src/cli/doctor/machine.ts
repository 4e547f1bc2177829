import { randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigFinding } from '../../config/problems.ts';
import type { Config } from '../../config.ts';
import { readableBytes } from '../../reports/units.ts';
import { createTokenStore, tokensFile } from '../../tokens/store.ts';
import { type Check, failed, ok, skipped, warning } from './check.ts';

/** What the service needs on this machine itself. */
export function machineChecks(config: Config): Check[] {
  return [nodeVersion, dataFolder(config), freeSpace(config), tokenFile(config), temporalBinary(config)];
}

/** A finding for each problem and warning of the configuration; one when there is none. */
export function configurationChecks(folder: string, findings: readonly ConfigFinding[]): Check[] {
  const tried = `read .env and hosts.yaml in ${folder}, and the environment`;
  if (findings.length === 0) return [{ check: 'Configuration', tried, run: () => ok(`valid, in ${folder}`) }];
  return findings.map(({ check, verdict, summary, remedy }) => ({
    check,
    tried,
    run: () => ({ verdict, summary, remedy }),
  }));
}

const nodeVersion: Check = {
  check: 'Node.js',
  tried: 'compare its version with the oldest supported one',
  run() {
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    if (major > 20 || (major === 20 && minor >= 19)) return ok(process.version);
    return failed(process.version, 'Install Node.js 20.19 or newer.');
  },
};

function dataFolder({ dataDir }: Config): Check {
  return {
    check: 'Data folder',
    tried: `write, read and remove a file in ${dataDir}`,
    run() {
      const probe = join(dataDir, `.doctor-${randomBytes(6).toString('hex')}`);
      try {
        mkdirSync(dataDir, { recursive: true, mode: 0o700 });
        writeFileSync(probe, '', { mode: 0o600, flag: 'wx' });
        rmSync(probe);
      } catch (error) {
        return failed(
          `${dataDir} can't be written (${codeOf(error)})`,
          'Give it to the user that runs the service, or set another DATA_DIR.',
        );
      }
      const mode = statSync(dataDir).mode & 0o777;
      if ((mode & 0o022) === 0) return ok(`${dataDir} is writable`);
      return warning(
        `${dataDir} may be written by other users (mode ${mode.toString(8)})`,
        `Run: chmod 700 ${dataDir}`,
      );
    },
  };
}

const gib = 1024 ** 3;

function freeSpace({ dataDir }: Config): Check {
  return {
    check: 'Disk space',
    tried: `ask how much is free where ${dataDir} is`,
    run() {
      if (statSync(dataDir, { throwIfNoEntry: false }) === undefined) return skipped("the data folder isn't there yet");
      const { bavail, bsize } = statfsSync(dataDir);
      const free = bavail * bsize;
      const seen = `${readableBytes(free)} free`;
      if (free < gib / 4) return failed(seen, 'Free some space: Temporal stops when its database cannot grow.');
      return free < gib ? warning(seen, 'Free some space soon.') : ok(seen);
    },
  };
}

function tokenFile({ accessDir }: Config): Check {
  const path = tokensFile(accessDir);
  return {
    check: 'Tokens',
    tried: `read ${path}`,
    run() {
      const tokens = createTokenStore(path).list();
      const expired = tokens.filter(({ expiresAt }) => expiresAt !== undefined && Date.parse(expiresAt) <= Date.now());
      if (tokens.length === 0) {
        return warning(
          'no token: no MCP client can connect over HTTP',
          'Make one: npx proxmox-mcp token create NAME --scope operate',
        );
      }
      if (expired.length === 0) return ok(tokens.length === 1 ? 'there is one' : `there are ${tokens.length}`);
      const names = expired.map(({ name }) => name);
      return warning(`expired: ${names.join(', ')}`, `Remove it: npx proxmox-mcp token revoke ${names[0]}`);
    },
  };
}

function temporalBinary({ temporal: { address, binary } }: Config): Check {
  return {
    check: 'Temporal CLI',
    tried: binary === undefined ? 'look at TEMPORAL_BINARY' : `see whether ${binary} may be executed`,
    run() {
      if (address !== undefined) return skipped('not needed: TEMPORAL_ADDRESS names a server');
      if (binary === undefined) return skipped('TEMPORAL_BINARY is not set; npm start finds, downloads or builds it');
      try {
        accessSync(binary, constants.X_OK);
        return ok(binary);
      } catch (error) {
        return failed(
          `${binary} can't be executed (${codeOf(error)})`,
          'Correct TEMPORAL_BINARY, or remove it and let npm start get one.',
        );
      }
    },
  };
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
