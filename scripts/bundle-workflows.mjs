// dist/src/workflows → dist/workflow-bundle.js, so that a worker starts without a bundler.
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

const entry = resolve('dist/src/workflows/index.generated.js');
if (existsSync(entry)) {
  const { code } = await bundleWorkflowCode({
    workflowsPath: entry,
    workflowInterceptorModules: [resolve('dist/src/workflows/lib/approved.js')],
    preloadModules: [resolve('dist/src/workflows/preloaded.js')],
    logger: new DefaultLogger('WARN'),
  });
  writeFileSync('dist/workflow-bundle.js.new', code);
  renameSync('dist/workflow-bundle.js.new', 'dist/workflow-bundle.js');
}
