import { defineConfig } from 'nodicorn'

export default defineConfig({
  workers: 4,
  timeout: 30,
  maxBody: '1mb',
  routes: {
    // 10,000 rows take up to 200 seconds; 15,000 are allowed.
    'POST /contacts/import': {
      timeout: process.env.IMPORT_TIMEOUT ?? '5m',
      concurrency: 2, // in each worker; the phone service bears no more
      queueTimeout: '30s',
      maxBody: '50mb',
    },
  },
  slowRatio: 0.5,
  alertTimeouts: '5 in 60s',
})
