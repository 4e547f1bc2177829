import { connect } from 'node:net';

/** `undefined` when the port takes connections, else the error's code, e.g. `ECONNREFUSED`. */
export function tcp(host: string, port: number, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error) => resolve('code' in error ? String(error.code) : 'unknown error'));
  });
}
