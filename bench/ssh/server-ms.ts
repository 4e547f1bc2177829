import { once } from 'node:events';
import type { ClientChannel } from 'ssh2';
import type { Sshd } from '../../lab/sshd.ts';
import { connect } from '../../src/hosts/ssh/connect.ts';
import { defaultLimits } from '../../src/hosts/ssh/limits.ts';

/**
 * Milliseconds from "run this" to the exit status, of each of `count` commands over one bare connection: what the
 * server takes for a command, and one way there and back, without anything of the pool's.
 */
export async function serverMs(sshd: Sshd, count: number): Promise<number[]> {
  const { client, end } = await connect('bench', sshd.ssh, defaultLimits);
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    let sent = 0;
    const options = {
      // Read once, just before the request is sent.
      get env() {
        sent = performance.now();
        return {};
      },
    };
    const channel = await new Promise<ClientChannel>((resolve, reject) => {
      client.exec("exec '/bin/true'", options, (error, opened) => (error ? reject(error) : resolve(opened)));
    });
    channel.once('exit', () => times.push(performance.now() - sent));
    const closed = once(channel, 'close');
    channel.resume().end();
    channel.stderr.resume();
    await closed;
  }
  end();
  return times;
}
