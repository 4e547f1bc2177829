import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { logExcerpt } from '../../src/service/log-excerpt.ts';

/** What Node.js itself writes when a program dies. */
function dying(script: string, ...flags: string[]): string {
  return spawnSync(process.execPath, [...flags, '--input-type=module', '-e', script], { encoding: 'utf8' }).stderr;
}

const frames = Array.from({ length: 40 }, (_, i) => `    at step${i} (file:///srv/dist/step.js:${i}:9)`).join('\n');

const goPanic = `Temporal CLI 1.9.1 (Server 1.32.0, UI 2.54.1)
time=2026-11-26T01:00:00.000 level=ERROR msg="shard not loaded yet"
panic: runtime error: invalid memory address or nil pointer dereference
	panic: again
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1234]

goroutine 1 [running]:
main.main()
	/src/main.go:7 +0x1d
go.temporal.io/server/temporal.(*ServerFx).Start(0xc0001, {0x1, 0x2})
	/src/temporal/server.go:11 +0x20
created by main.start in goroutine 1
	/src/main.go:20 +0x30
${Array.from({ length: 3000 }, (_, i) => `goroutine ${i} [select]:\nmain.wait(0xc000)\n\t/src/wait.go:9 +0x1`).join('\n')}
exit status 2
`;

it.each([
  ['a panic of Go, however long its dump', goPanic, /^panic: runtime error: invalid memory address/],
  [
    'a fatal error of Go',
    `fatal error: concurrent map writes\n\ngoroutine 7 [running]:\nmain.f()\n\t/a.go:1 +0x2\n`,
    /^fatal error: concurrent map writes$/,
  ],
  [
    'an error of Node.js',
    dying("throw new RangeError('no such time zone: europe/berlin')"),
    /^RangeError: no such time zone: europe\/berlin/,
  ],
  ['an error in a deep stack', `Error: the real cause\n${frames}\n\nNode.js v20.20.2\n`, /^Error: the real cause$/],
  ['an error with a code', dying("import '/nothing/there.js'"), /^Error \[ERR_MODULE_NOT_FOUND\]: Cannot find module/],
  ['a message of several lines', dying("throw new Error('first\\nsecond')"), /^Error: first \| second/],
  [
    'an error that another one caused',
    dying("throw new Error('outer', { cause: new TypeError('inner') })"),
    /^Error: outer .*TypeError: inner/,
  ],
  [
    'a rejection',
    dying("await Promise.reject(Object.assign(new Error('refused'), { name: 'ServiceError' }))"),
    /refused/,
  ],
  [
    'too little memory',
    dying('const a = []; for (;;) a.push(new Array(1e5).fill(1.1));', '--max-old-space-size=20'),
    /heap/,
  ],
  [
    'our own logger',
    '{"level":"info","msg":"starting"}\n{"level":"fatal","msg":"it ends","err":{"type":"Error","message":"no zone","stack":"Error: no zone\\n at x"}}\n',
    /^\[fatal\] it ends \(no zone\)$/,
  ],
  ['no error at all', 'one\ntwo\nthree\nfour\n', /^two \| three \| four$/],
  ['nothing', '', /^$/],
])('%s', (_what, text, expected) => {
  const excerpt = logExcerpt(text);
  expect(excerpt).toMatch(expected);
  expect(excerpt).not.toMatch(/\bat \w+.*:\d+:\d+|goroutine|Node\.js v/);
  expect(excerpt.length).toBeLessThanOrEqual(600);
});
