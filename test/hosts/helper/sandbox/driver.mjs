// Runs inside the sandbox as root. Reads requests from standard input, one JSON object a line, and answers each with
// one line: { id, code, signal, stdout, stderr }. A request is { id, argv, as?: { uid, gid }, env?, cwd?, stdin? },
// or { id, write: path, content, mode } or { id, read: path }. Several requests run at once.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';

const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const limit = 200_000;

function run({ id, argv, as, env, cwd, stdin, timeoutMs = 60_000 }) {
  return new Promise((resolve) => {
    const child = spawn(argv[0], argv.slice(1), {
      env: env ?? {},
      cwd: cwd ?? '/',
      detached: true,
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(as ? { uid: as.uid, gid: as.gid } : {}),
    });
    const out = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr']) {
      child[stream].setEncoding('utf8').on('data', (text) => {
        if (out[stream].length < limit) out[stream] += text;
      });
    }
    const timer = setTimeout(() => execFileSync('kill', ['-KILL', '--', `-${child.pid}`]), timeoutMs);
    child.on('error', (error) => resolve({ id, code: -1, signal: null, stdout: '', stderr: String(error) }));
    const done = (code, signal) => {
      clearTimeout(timer);
      resolve({ id, code, signal, ...out });
    };
    child.on('close', done);
    // Something that was left behind may hold the pipes.
    child.on('exit', (code, signal) => setTimeout(done, 2_000, code, signal).unref());
    if (stdin !== undefined) child.stdin.on('error', () => {}).end(stdin);
  });
}

function file({ id, write, read, content, mode }) {
  try {
    if (read) return { id, code: 0, stdout: readFileSync(read, 'utf8'), stderr: '' };
    mkdirSync(dirname(write), { recursive: true });
    writeFileSync(write, content);
    chmodSync(write, mode ?? 0o644);
    return { id, code: 0, stdout: '', stderr: '' };
  } catch (error) {
    return { id, code: 1, stdout: '', stderr: String(error) };
  }
}

const waiting = [];
let running = 0;
function next() {
  while (running < 4 && waiting.length > 0) {
    running += 1;
    run(waiting.shift()).then((result) => {
      running -= 1;
      answer(result);
      next();
    });
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line);
  if (request.argv) {
    waiting.push(request);
    next();
  } else answer(file(request));
});
answer({ id: 'ready' });
