import type { McpTaskSource } from './mcp-task.ts';
import type { Caller } from './scopes.ts';
import type { Toolbox } from './toolbox.ts';

/** A document that a client can read. */
export interface ServedResource {
  readonly uri: string;
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly mimeType: string;
}

export interface ServedPrompt {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly arguments: readonly { readonly name: string; readonly description: string; readonly required: boolean }[];
}

/** What is served, in words that belong to no SDK: the adapters of `src/mcp/sdk` put it on the wire. */
export interface Surface {
  readonly identity: { readonly name: string; readonly title: string; readonly version: string };
  /** For the model, about this caller's view of the server; at most 2,048 characters. */
  instructions(caller: Caller): string;
  readonly tools: Toolbox;
  readonly mcpTasks: McpTaskSource;
  readonly resources: {
    readonly templates: readonly (Omit<ServedResource, 'uri'> & { readonly uriTemplate: string })[];
    list(): Promise<readonly ServedResource[]>;
    /** Undefined: there is none of this URI. */
    read(uri: string): Promise<{ readonly mimeType: string; readonly text: string } | undefined>;
  };
  readonly prompts: {
    readonly list: readonly ServedPrompt[];
    /** The prompt's text, or undefined where there is none of this name. Throws `invalid-input`. */
    get(name: string, args: Readonly<Record<string, string>>): Promise<string | undefined>;
  };
  /** Completions of an argument's value, best first. */
  complete(argument: string, value: string): Promise<readonly string[]>;
}
