/**
 * A count with its noun, for lines of the log: `1 session`, `2 sessions`. `cli/progress.ts` has the form for tools, which groups digits.
 */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`
