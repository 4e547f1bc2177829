import { execFile } from 'node:child_process';

/** `nobody`, who owns nothing and stands for every other user. */
const nobody = 65_534;

/** Exits with 0 when it is connected, 1 when it is refused or not answered. */
const program = `
  const socket = require('node:net').connect(Number(process.argv[2]), process.argv[1]);
  socket.setTimeout(3000, () => process.exit(1));
  socket.once('connect', () => process.exit(0)).once('error', () => process.exit(1));
`;

/**
 * Whether another user of this machine reaches a port, tried as `nobody`; undefined where that can't be tried, because
 * only root can become somebody else, or because `nobody` may not execute this Node.js.
 */
export function isReachedByOthers(host: string, port: number, signal: AbortSignal): Promise<boolean | undefined> {
  if (process.getuid?.() !== 0) return Promise.resolve(undefined);
  const options = { uid: nobody, gid: nobody, cwd: '/', env: {}, signal, timeout: 10_000 };
  return new Promise((resolve) => {
    try {
      execFile(process.execPath, ['-e', program, host, String(port)], options, (error) => {
        if (error === null) resolve(true);
        else resolve(error.code === 1 ? false : undefined);
      });
    } catch {
      resolve(undefined);
    }
  });
}
