/** What a thread that hashes (`worker.ts`) leaves in shared memory for each job, and `workers.ts` looks for. */
export const Answer = { None: 0, Right: 1, Wrong: 2, Failed: 3 } as const
