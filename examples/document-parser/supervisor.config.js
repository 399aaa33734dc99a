import { defineConfig } from 'nodicorn'

export default defineConfig({
  maxBody: '50mb',
  // The store is in ./var/jobs, or in the Redis that REDIS_URL names; NUM_WORKERS wins over `workers`.
  // A job that is interrupted goes on at the page where it was, so no stop has to wait for long.
  jobs: { entry: './jobs.js', workers: 2, concurrency: 2, keep: '24h', grace: '5s' },
})
