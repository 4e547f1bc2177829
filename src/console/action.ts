import type { Viewer } from './sessions.ts';

/** A field of a form; empty where it has none. */
export type Field = (name: string) => string;

/** Something that a form does. All of them throw `ServiceError`s, which are said on the page that the form stands on. */
export interface Action {
  /** The path of that page. */
  readonly page: (field: Field) => string;
  /** What was done, for the next page: the same one, or the one that is named. */
  readonly act: (field: Field, viewer: Viewer) => Promise<string | { readonly text: string; readonly page: string }>;
}
