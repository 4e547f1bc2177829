import type { JudgedRequest, Judgement } from '../../operations/judgement.ts';

/** What a run asks before it changes anything; see `src/policy` and `src/people`. */
export interface ApprovalActivities {
  /** What the policy says, with whoever may approve; the request is written down with it. */
  judge(request: JudgedRequest): Promise<Judgement>;
  /**
   * Whose answer a one-time code makes this; undefined: it is wrong, was shown before, or was made for another choice or
   * plan. However that is, the code counts for nothing from now on: it stands in the run's history.
   */
  redeemCode(shown: {
    readonly code: string;
    readonly choice: string;
    readonly digest: string;
    readonly question: string;
  }): Promise<string | undefined>;
}
