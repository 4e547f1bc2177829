/** The file of the API viewer that a host serves beside its API. */
export interface ApiViewerState {
  /**
   * `missing`: the package is there without it; `no-folder`: the daemon knows no such folder. `body` is sent in its
   * place.
   */
  file: 'there' | 'missing' | 'no-folder' | { readonly body: string };
}
