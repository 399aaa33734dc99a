// Referrals of patients to laboratories, with the tests of each. A Koa app.
import Koa from 'koa'
import { preloaded } from 'nodicorn/app'
import { joinReferrals } from './referrals.js'

// What preload() of the settings file has fetched; without a supervisor around it there is nothing.
const { referrals, tests } = preloaded() ?? { referrals: [], tests: [] }
const byPractitioner = joinReferrals(referrals, tests)

export const app = new Koa()

app.use((ctx) => {
  if (ctx.path === '/') ctx.body = 'GET /api/medics/referrals/practitioner?id=1\n'
  if (ctx.path === '/api/medics/referrals/practitioner')
    ctx.body = byPractitioner.get(Number(ctx.query.id ?? 1)) ?? []
})

export default app
