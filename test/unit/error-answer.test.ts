// Which type a 504 has, by the client's Accept header.
import { expect, test } from 'vitest'
import type { Entry } from '../../src/worker/request-entry.ts'
import { timeoutAnswer } from '../../src/worker/error-answer.ts'

const answerTo = (accept: string | undefined, id = 'id-1'): { type: string; body: string } =>
  timeoutAnswer({ req: { headers: { accept } }, timeout: 30, id } as unknown as Entry)

const text = 'text/plain; charset=utf-8'
const json = 'application/json; charset=utf-8'
const html = 'text/html; charset=utf-8'

const cases: [accept: string | undefined, type: string][] = [
  [undefined, text],
  ['', text],
  ['*/*', text],
  ['text/plain', text],
  ['application/json', json],
  ['application/json; charset=utf-8', json],
  ['APPLICATION/JSON', json],
  ['application/*', json],
  ['application/json, text/plain, */*', text],
  ['application/json, */*;q=0.5', json],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8', html],
  ['text/html;q=0.9, application/json', json],
  ['text/html;level=1;q=0.3, application/json;q=0.2', html],
  ['text/*;q=0.5, application/json;q=0.4', text],
  ['text/plain;q=0, */*', json],
  ['image/png', text],
  ['application/problem+json', text],
  [';;q=,,/', text],
]
test.each(cases)('Accept: %s gets %s', (accept, type) => {
  expect(answerTo(accept).type).toBe(type)
})

test('each says how long was waited, and JSON and HTML the id', () => {
  expect(answerTo('text/plain').body).toBe('Gateway Timeout: no response within 30 s\n')
  expect(JSON.parse(answerTo('application/json').body)).toEqual({
    error: 'Gateway Timeout',
    status: 504,
    message: 'Gateway Timeout: no response within 30 s',
    requestId: 'id-1',
  })
  expect(answerTo('text/html').body).toMatch(/504 Gateway Timeout.*within 30 s.*Request id-1/)
})

test('an id cannot bring HTML with it', () => {
  expect(answerTo('text/html', '<b>"&').body).not.toMatch(/<b>|"&/)
})
