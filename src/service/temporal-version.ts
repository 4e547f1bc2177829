/** The pinned Temporal CLI, which holds server 1.32.0 and UI 2.54.1; temporal-server/go.mod names the same. */
export const temporalVersion = '1.9.1';

/** Older servers lack flags or settings that the service relies on. */
export const oldestTemporalServer = [1, 29, 0] as const;
