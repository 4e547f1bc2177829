import { ApiFailure } from './answer.ts';
import { apiSchema, type HttpMethod, type SchemaMethod, type SchemaProperties, segmentsOf } from './schema.ts';
import type { SimulatorState } from './state.ts';

export const apiViewerPath = '/pve-docs/api-viewer/apidoc.js';

interface ViewerNode {
  readonly path: string;
  readonly text: string;
  leaf: 0 | 1;
  info?: Record<string, unknown>;
  children?: ViewerNode[];
}

let written: string | undefined;

/** The data file of the API viewer, as anybody gets it without signing in. */
export function apiViewerFile({ apiViewer: { file } }: SimulatorState): string {
  if (file === 'no-folder') throw new ApiFailure(500, `no such file '${apiViewerPath}'`, { body: 'text' });
  if (file === 'missing') {
    const name = '/usr/share/pve-docs/api-viewer/apidoc.js';
    throw new ApiFailure(500, `unable to open file '${name}' - No such file or directory`, { body: 'text' });
  }
  if (typeof file === 'object') return file.body;
  written ??= `const apiSchema = ${JSON.stringify(tree(), null, 1)}\n;\n\n${viewerCode}`;
  return written;
}

/** The schema as the viewer's tree: each path below the one that it continues. */
function tree(): ViewerNode[] {
  const roots: ViewerNode[] = [];
  const known = new Map<string, ViewerNode>();
  for (const [path, entry] of Object.entries(apiSchema())) {
    const segments = segmentsOf(path);
    const methods = Object.entries(entry) as [HttpMethod, SchemaMethod][];
    const info = Object.fromEntries(methods.map(([method, about]) => [method, viewerInfo(method, segments, about)]));
    const node: ViewerNode = { path, text: segments.at(-1) ?? '', leaf: 1, ...(methods.length > 0 ? { info } : {}) };
    known.set(path, node);
    const parent = known.get(`/${segments.slice(0, -1).join('/')}`);
    if (parent) {
      parent.leaf = 0;
      parent.children = [...(parent.children ?? []), node];
    } else roots.push(node);
  }
  return roots;
}

const verbs: Readonly<Record<HttpMethod, string>> = { GET: 'Read', POST: 'Do', PUT: 'Change', DELETE: 'Remove' };

function viewerInfo(method: HttpMethod, segments: readonly string[], about: SchemaMethod): Record<string, unknown> {
  const words = segments.map((segment) => segment.replace(/[{}]/g, '').replace(/[-_]/g, ' ')).join(' ');
  const { name, parameters = {}, additional, permissions, protected: isProtected, proxyto, returns } = about;
  return {
    allowtoken: about.allowtoken ?? 1,
    description: `${verbs[method]}: ${words} (${name.replace(/_/g, ' ')}).`,
    method,
    name,
    parameters: {
      ...(additional ? { additionalProperties: 1 } : { additionalProperties: 0 }),
      ...(Object.keys(parameters).length > 0 ? { properties: viewerProperties(parameters) } : {}),
    },
    ...(permissions ? { permissions } : {}),
    ...(isProtected ? { protected: 1 } : {}),
    ...(proxyto ? { proxyto } : {}),
    returns: returns === undefined ? {} : { type: returns },
  };
}

function viewerProperties(properties: SchemaProperties): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, property]) => {
      const { format, ...rest } = property;
      const isText = property.type === undefined && property.alias === undefined;
      return [
        name,
        {
          ...(property.alias === undefined ? { description: `The ${name.replace(/[-_]/g, ' ')}.` } : {}),
          ...rest,
          ...(format === undefined ? {} : { format: typeof format === 'string' ? format : viewerProperties(format) }),
          ...(isText ? { type: 'string' } : {}),
          ...(property.alias === undefined ? { typetext: `<${property.type ?? 'string'}>` } : {}),
        },
      ];
    }),
  );
}

/** What else is in the file: code that nobody may run, with brackets and quotes of its own. */
const viewerCode = `let commandOf = { GET: 'get', POST: 'create', PUT: 'set', DELETE: 'delete' };

function usageOf(node, method) {
    let parts = [];
    for (const [name, property] of Object.entries(node.info[method].parameters.properties || {})) {
        parts.push(property.optional ? \`[--\${name} <\${property.type}>]\` : "--" + name);
    }
    return 'pvesh ' + commandOf[method] + ' ' + node.path + (parts.length ? ' ' + parts.join(' ') : '');
}

Ext.onReady(function() {
    let store = Ext.create('Ext.data.TreeStore', { root: { text: "API ]; viewer", children: apiSchema } });
    Ext.create('Ext.tree.Panel', { renderTo: Ext.getBody(), store: store });
});
`;
