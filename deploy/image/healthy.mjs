// The image's health check: `healthy.mjs mcp-server | worker`. Exits with 0 when the process of this container does its work.
// Whether the whole service is well is what /readyz and `check-health` say: a container isn't unhealthy because another is.
const [, , what = 'mcp-server'] = process.argv;
const limit = AbortSignal.timeout(8_000);

const checks = {
  'mcp-server': async () => {
    const answer = await fetch('http://127.0.0.1:8080/livez', { signal: limit });
    return answer.ok ? undefined : `it answers ${answer.status}`;
  },
  // Polling is what a worker is for; it begins when everything that it needs is there.
  worker: async () => {
    const answer = await fetch('http://127.0.0.1:9464/metrics', { signal: limit });
    const said = await answer.text();
    // It waits for an administrator, and starting it again changes nothing.
    if (/^proxmox_mcp_restored 1$/m.test(said)) return undefined;
    const polls = [...said.matchAll(/^temporal_num_pollers\{.*\} (\d+)$/gm)];
    return polls.some(([, count]) => count !== '0') ? undefined : 'it takes no work';
  },
};

const problem = await checks[what]().catch((error) => String(error.cause ?? error));
if (problem !== undefined) {
  process.stderr.write(`${problem}\n`);
  process.exit(1);
}
