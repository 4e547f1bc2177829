import { DefaultLogger } from '@temporalio/worker';

/** Of activities that a test runs. Failures are what many tests are about: they need not be printed. */
export const logger = new DefaultLogger('ERROR');
