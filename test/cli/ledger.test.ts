import { cpSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sqlite from 'node-sqlite3-wasm';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { runCli } from '../../src/cli/program.ts';
import { fill, open, temporaryFolder } from '../ledger/lib.ts';

/** What a command line prints, and how it ends. */
async function cli(folder: string, ...args: string[]) {
  let [stdout, stderr] = ['', ''];
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  try {
    const code = await runCli(['--config-dir', folder, '--set', `DATA_DIR=${folder}`, 'ledger', ...args]);
    return { code, stdout, stderr };
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
}

describe('ledger verify where the service does not run', () => {
  async function stopped() {
    const folder = temporaryFolder();
    const ledger = open(join(folder, 'ledger'), { segmentRecords: 40 });
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    await fill(ledger, 100);
    const head = ledger.head();
    await ledger.close();
    if (head === undefined) throw new Error('there is no head');
    return { folder, files: join(folder, 'ledger'), head };
  }

  function stamps(folder: string): string[] {
    return readdirSync(folder).map((name) => `${name} ${statSync(join(folder, name)).mtimeMs}`);
  }

  it('looks at the files, changes none, and says what no anchor proves', async () => {
    const { folder, files, head } = await stopped();
    const before = stamps(files);
    const { code, stdout, stderr } = await cli(folder, 'verify');
    expect(code).toBe(0);
    expect(stderr).toContain('The service does not run');
    expect(stdout).toMatch(/^The ledger is intact: \d+ records, 1 to \d+, each as it was written\.\n/);
    expect(stdout).toContain(`Newest: ${head.seq} ${head.hash}`);
    expect(stdout).toContain('No anchor was given');
    expect(stamps(files)).toEqual(before);
  });

  it('ends with 1 and names the record that was changed; a copy is verified by its folder', async () => {
    const { folder, files } = await stopped();
    const copy = join(temporaryFolder(), 'copy');
    cpSync(files, copy, { recursive: true });
    const database = new sqlite.Database(join(files, '0002.sqlite'));
    database.exec(
      "DROP TRIGGER records_stay; UPDATE records SET body = replace(body, 'nginx', 'xinetd') WHERE seq = 60",
    );
    database.close();
    const { code, stdout } = await cli(folder, 'verify');
    expect(code).toBe(1);
    expect(stdout).toContain('The ledger is broken: 2 things are wrong');
    expect(stdout).toContain('✗ Record 60 is not as it was written');
    expect(stdout).toContain('the index of words, which searches use, does not fit the records');
    expect(await cli(folder, 'verify', '--folder', copy)).toMatchObject({ code: 0 });
    expect(existsSync(join(copy, 'owner.lock'))).toBe(false);
  });

  it('compares with anchors from a file, and takes no file without any', async () => {
    const { folder, head } = await stopped();
    const file = join(folder, 'anchors');
    writeFileSync(file, `Nov 26 pve1 proxmox-mcp-ledger[1]: ${head.seq} ${head.hash}\n`);
    expect((await cli(folder, 'verify', '--anchors', file)).stdout).toContain('Anchors: 1 of 1 name a record');
    writeFileSync(file, `${head.seq} ${'0'.repeat(64)}\n`);
    const forged = await cli(folder, 'verify', '--anchors', file, '--json');
    expect(forged.code).toBe(1);
    expect(JSON.parse(forged.stdout)).toMatchObject({ verdict: 'broken', anchors: { given: 1, matched: 0 } });
    writeFileSync(file, 'nothing');
    expect(await cli(folder, 'verify', '--anchors', file)).toMatchObject({ code: 2 });
  });
});
