/** What something that goes wrong is about: it decides at which level of the contacts it is told first. */
export const subjects = ['operations', 'security', 'infrastructure', 'application'] as const;
export type Subject = (typeof subjects)[number];
