export const when = 'after-build';

/** The configuration's reference and its example, from the table of keys. */
export async function generate() {
  const { renderConfigurationDocs, renderEnvExample } = await import('../../dist/src/config/document.js');
  return { 'docs/configuration.md': renderConfigurationDocs(), '.env.example': renderEnvExample() };
}
