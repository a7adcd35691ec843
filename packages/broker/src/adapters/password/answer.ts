/** Answers that a hashing thread (`worker.ts`) writes into shared memory for each job, and `workers.ts` reads. */
export const Answer = { None: 0, Right: 1, Wrong: 2, Failed: 3 } as const
