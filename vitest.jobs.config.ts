// How `npm run test:jobs` runs: the behaviours of the job queue on each of its stores. It takes minutes, so it is not part of `npm test`.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/jobs/**/*.jobs.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
})
