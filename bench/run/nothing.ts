/** What a step of the bench does. */
export interface NothingActivities {
  nothing(): Promise<void>;
}
