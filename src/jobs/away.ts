// Whether an error means that the store does not answer, as while it restarts, so that asking again may help. Pure.

/** Of the system; and of Postgres, which ends or begins. */
const CODES = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT'],
  ...['57P01', '57P02', '57P03'],
])
/** ioredis has tried often enough; Redis reads its file; pg has lost its connection. */
const WORDS =
  /^(Reached the max retries|Connection is closed|LOADING |Connection terminated|terminating connection)/

export const isAway = (error: unknown): error is Error => {
  const { code, message } = error as NodeJS.ErrnoException
  return CODES.has(code ?? '') || WORDS.test(message)
}
