import { ServiceError } from '../errors.ts';
import { catalogue } from '../operations/catalogue.generated.ts';
import { type OperationDefinition, workflowType } from '../operations/definition.ts';

/** Every operation, with the general type that callers who don't care which one it is can use. */
export const operations: Readonly<Record<string, OperationDefinition>> = catalogue;

/** Throws `not-found`, naming those that there are. */
export function findOperation(name: string): OperationDefinition {
  const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
  if (operation) return operation;
  throw new ServiceError({
    code: 'not-found',
    message: `There is no operation "${name}".`,
    remedy: `Use one of: ${Object.keys(operations).join(', ')}.`,
  });
}

const byWorkflowType = new Map(Object.values(operations).map((operation) => [workflowType(operation.name), operation]));

/** The operation that a workflow of the Temporal server runs; undefined for the service's inner workflows and strangers. */
export function operationOfWorkflow(type: string): OperationDefinition | undefined {
  return byWorkflowType.get(type);
}
