// How `npm run test:frameworks` runs: three servers at a time, which is what a small machine can bear.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/frameworks/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    maxConcurrency: 3,
    testTimeout: 120_000,
  },
})
