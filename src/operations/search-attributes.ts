/** The names of the typed search attributes, all keywords. */
export const searchAttributes = {
  operation: 'OpsOperation',
  target: 'OpsTarget',
  risk: 'OpsRisk',
  phase: 'OpsPhase',
  outcome: 'OpsOutcome',
  requestedBy: 'OpsRequestedBy',
} as const;
