/** The names of the typed search attributes, all keywords. */
export const searchAttributes = {
  operation: 'OpsOperation',
  target: 'OpsTarget',
  risk: 'OpsRisk',
  phase: 'OpsPhase',
  outcome: 'OpsOutcome',
  requestedBy: 'OpsRequestedBy',
  /** The worst verdict of the report of a run that is done; absent where there is no report. */
  verdict: 'OpsVerdict',
  /** `yes` or `no`; absent of runs that were started before there was this attribute. */
  dryRun: 'OpsDryRun',
} as const;
