import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { agent, workFolder } from '../../../src/hosts/install/agent.ts';

it('is a script that dash and bash as sh understand', () => {
  for (const shell of [['dash'], ['bash', '--posix']]) {
    const [program = '', ...args] = shell;
    execFileSync(program, [...args, '-n', 'src/hosts/install/agent.sh'], { stdio: 'pipe' });
  }
});

it('is constant, names its work folder as we do, and ends with the call that a cut off copy lacks', () => {
  expect(agent).toContain(`\nwork=${workFolder} `);
  expect(agent).not.toMatch(/\$\{[a-z]+\.|`/);
  expect(agent.trimEnd().split('\n').at(-1)).toBe('main "$@"; exit');
});
