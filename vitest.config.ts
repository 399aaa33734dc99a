// How `npm test` runs: every test talks to real processes, so files run in forked processes and have a minute.
import { configDefaults, defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They need more than `npm ci` installs: npm run test:frameworks.
    exclude: [...configDefaults.exclude, 'test/frameworks/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 30_000,
  },
})
