import { availableParallelism } from 'node:os'
import { defineConfig } from 'nodicorn'

export default defineConfig({
  bind: '0.0.0.0:8000',
  timeout: 120,
  workers: availableParallelism() * 2 + 1,
  maxRequests: 1000,
  maxRequestsJitter: 50, // not all of them at the same time
  keepAlive: 5,
  accessLog: '-',
  // Once, before any worker is started: every worker gets a copy of the result, and connects to no database for it.
  preload() {
    const referrals = Array.from({ length: 40 }, (_, n) => ({
      id: n,
      practitioner: n % 4,
      patient: 1000 + n,
    }))
    const tests = Array.from({ length: 120 }, (_, n) => ({
      id: n,
      referral: n % 40,
      status: 'pending',
    }))
    console.log(`preloaded ${referrals.length} referrals`)
    return { referrals, tests }
  },
})
