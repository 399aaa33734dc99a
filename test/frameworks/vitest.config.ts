// How `npm run test:frameworks` runs: two servers at a time, which is what a small machine can bear.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/frameworks/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    maxConcurrency: 2,
    testTimeout: 120_000,
  },
})
