// How `npm test` runs: in forked processes that take one file after another, as starting one for each costs as much as its tests.
import { configDefaults, defineConfig } from 'vitest/config'

/** These replace modules or timers, which the next file in their process would find replaced. */
const alone = ['test/unit/handover.test.ts', 'test/unit/size.test.ts']
/** What these measure is spoilt by whatever else the machine does: they come last, by themselves. */
const exact = ['test/churn.test.ts', 'test/deadlines.test.ts']

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'processes',
          include: ['test/*.test.ts'],
          exclude: [...configDefaults.exclude, ...exact],
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/*.test.ts'],
          exclude: [...configDefaults.exclude, ...alone],
          isolate: false,
        },
      },
      { extends: true, test: { name: 'alone', include: alone } },
      {
        extends: true,
        test: { name: 'exact', include: exact, maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
    ],
  },
})
