// Patterns of routes: what they match, in which order, and where a wrong one is wrong.
import { expect, test } from 'vitest'
import { faultOf, normalPath, Router, type RouteSettings } from '../../src/routes.ts'

const routerOf = (...patterns: string[]): Router =>
  new Router(Object.fromEntries(patterns.map((one): [string, RouteSettings] => [one, {}])))

const matches = (pattern: string, method: string, url: string): boolean =>
  routerOf(pattern).match(method, url) !== undefined

const cases: [pattern: string, request: string, matched: boolean][] = [
  ['/', 'GET /', true],
  ['/', 'GET /a', false],
  ['/a', 'GET /a', true],
  ['/a', 'DELETE /a', true],
  ['* /a', 'PATCH /a', true],
  ['GET /a', 'GET /a', true],
  ['GET /a', 'HEAD /a', false],
  ['POST   /a', 'POST /a', true],
  ['/a', 'GET /a/', true],
  ['/a/', 'GET /a', true],
  ['/a', 'GET /A', false],
  ['/a', 'GET /ab', false],
  ['/a', 'GET /x/a', false],
  ['/a/*', 'GET /a/b', true],
  ['/a/*', 'GET /a', false],
  ['/a/*', 'GET /a/b/c', false],
  ['/a/*/c', 'GET /a/b/c', true],
  ['/a/*/c', 'GET /a//c', false],
  ['/a/*.csv', 'GET /a/b.csv', true],
  ['/a/*.csv', 'GET /a/bxcsv', false],
  ['/a/*.csv', 'GET /a/b/c.csv', false],
  ['/v*/users', 'GET /v12/users', true],
  ['/a/**', 'GET /a', true],
  ['/a/**', 'GET /a/b/c/d', true],
  ['/a/**', 'GET /ab', false],
  ['/**', 'GET /', true],
  ['/**/z', 'GET /z', true],
  ['/**/z', 'GET /a/b/z', true],
  ['/**/z', 'GET /a/b/zz', false],
  ['/a/**/z', 'GET /a/b/c/z', true],
  ['/a+b(c)', 'GET /a+b(c)', true],
  ['/a+b(c)', 'GET /aabc', false],
  ['/caf%C3%A9', 'GET /café', true],
  ['/café', 'GET /caf%C3%A9', true],
  ['/a', 'GET /%61', true],
  ['/a', 'GET /a?b=/c', true],
  ['/a', 'GET /a#b', true],
  ['/a/b', 'GET //a///b', true],
  ['/a/b', 'GET /a/./b', true],
  ['/a/b', 'GET /a/x/../b', true],
  ['/a/b', 'GET /a/x/%2e%2e/b', true],
  ['/a', 'GET /../../a', true],
  ['/a', 'GET http://host:80/a', true],
  ['/', 'GET http://host', true],
  ['/%zz', 'GET /%zz', true],
  ['/a', 'OPTIONS *', false],
]
test.each(cases)('%s and %s: %s', (pattern, request, matched) => {
  const [, method = '', url = ''] = /^(\S+) (.*)$/.exec(request) ?? []
  expect(matches(pattern, method, url)).toBe(matched)
})

test('the first pattern that matches wins', () => {
  const router = routerOf('GET /a/b', '/a/*', '/**')
  const found = (method: string, url: string): string | undefined =>
    router.match(method, url)?.pattern
  expect(found('GET', '/a/b')).toBe('GET /a/b')
  expect(found('PUT', '/a/b')).toBe('/a/*')
  expect(found('GET', '/a/b/c')).toBe('/**')
})

test('a match brings the settings of its route', () => {
  const router = new Router({ '/a': { timeout: 5, concurrency: 2, queueTimeout: 1, maxBody: 9 } })
  expect(router.match('GET', '/a')).toEqual({
    pattern: '/a',
    index: 0,
    timeout: 5,
    concurrency: 2,
    queueTimeout: 1,
    maxBody: 9,
  })
  expect(router.match('GET', '/b')).toBeUndefined()
  expect(router.isEmpty).toBe(false)
  expect(new Router({}).isEmpty).toBe(true)
})

test('what clients ask for does not pile up in memory, and is found again', () => {
  const router = routerOf('/a/*')
  for (let n = 0; n < 5_000; n++) {
    expect(router.match('GET', `/a/${n}`)?.pattern).toBe('/a/*')
    expect(router.match('GET', `/a/${n}/x`)).toBeUndefined()
  }
  expect(router.match('GET', '/a/0')?.pattern).toBe('/a/*')
})

test('no path takes long to match, whatever the patterns', () => {
  const router = routerOf('/**/x/**/x/**/x/**/y', '/a/**/*.csv', '/**/a*a*a*a*b', '/a*b*a*b*c')
  const began = performance.now()
  for (const path of ['/x'.repeat(8_000), '/a'.repeat(8_000), `/${'ab'.repeat(8_000)}`])
    expect(router.match('GET', `${path}/!`)).toBeUndefined()
  expect(performance.now() - began).toBeLessThan(1_000)
})

const faults: [pattern: string, at: number, why: RegExp][] = [
  ['', 0, /path must begin with \//],
  ['a', 0, /path must begin with \//],
  ['GET a', 4, /path must begin with \//],
  ['get /a', 0, /method must be upper case/],
  ['GET  POST /a', 5, /path must begin with \//],
  ['/a?b=1', 2, /query string/],
  ['GET /a#b', 6, /query string/],
  ['/a b', 2, /a space/],
  ['/a**', 2, /\*\* must be a whole segment/],
  ['/**a', 1, /\*\* must be a whole segment/],
  ['/a/***', 3, /\*\* must be a whole segment/],
  ['GET /a/b**/c', 8, /\*\* must be a whole segment/],
]
test.each(faults)('%j is wrong at %i', (pattern, at, why) => {
  expect(faultOf(pattern)).toEqual({ at, why: expect.stringMatching(why) as string })
})

test.each(['/', '/a', 'GET /a/*', '* /**', 'POST /a/**/b*.csv', '/café', '/%20'])(
  '%j has no fault',
  (pattern) => {
    expect(faultOf(pattern)).toBeUndefined()
  },
)

test('a normal path has no query, no escapes, no dots and no empty segments', () => {
  const paths = {
    '/': '/',
    '/a': '/a',
    '/a%2Fb?c': '/a/b',
    '/a/..': '/',
    '/a/../..//b/': '/b',
    '': '/',
  }
  for (const [url, path] of Object.entries(paths)) expect(normalPath(url)).toBe(path)
})
