import { expect, it } from 'vitest';
import { catalogue, type OperationName } from '../../src/operations/catalogue.generated.ts';
import type { ApiRight } from '../../src/operations/definition.ts';
import { createApiChangeLab } from '../support/api-change.ts';
import { declaredRequests, prepareAll, vmidOf } from '../support/declared.ts';

const paths: Readonly<Record<ApiRight['on'], string>> = {
  root: '/',
  guest: '/vms',
  node: '/nodes',
  storage: '/storage',
  pool: '/pool',
  network: '/sdn',
};

it.each(declaredRequests.map((request) => [request.operation, request] as const))(
  '%s needs no more rights than it says',
  async (_, request) => {
    const operation = request.operation as OperationName;
    const { api, target } = catalogue[operation];
    const rights = [...(api?.reads ?? []), ...(api?.changes ?? [])];
    const lab = await createApiChangeLab({}, { token: 'limited' });
    const { state } = lab.simulator;
    try {
      prepareAll(lab.simulator, [request]);
      for (const on of new Set(rights.map((right) => right.on))) {
        const privileges = rights.filter((right) => right.on === on).map(({ privilege }) => privilege);
        state.roles.set(`Only-${on}`, privileges);
        // Rights on all of it are another matter than rights on what is below.
        const propagate = on !== 'root';
        state.acl.push({ path: paths[on], subject: 'mcp@pve!limited', role: `Only-${on}`, propagate });
      }
      const vmid = vmidOf(request);
      const input = { ...(target === 'guest' && { vmid }), ...request.input(vmid) };
      const { look } = await lab.carryOut(operation, input);
      expect(look.steps.length).toBeGreaterThan(0);
    } finally {
      await lab.close();
    }
  },
);
