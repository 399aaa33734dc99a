// Patterns of routes and the paths that clients ask for: a pattern is refused with its place, or matches in bounded time what a slow and simple
// matcher does.
import fc from 'fast-check'
import { faultOf, normalPath, Router } from '../../src/routes.ts'
import type { Target } from './target.ts'

/** As long as no path is, ms; a path that takes it was made for it. */
const LONGEST_MS = 200

const piece = fc.constantFrom(
  'a',
  'b',
  'ab',
  '*',
  '**',
  'a*',
  '*b',
  'a*b',
  '/',
  '//',
  '..',
  '.',
  '%2f',
  '%',
  'é',
  ' ',
  '?',
  '#',
  '\0',
)
const pattern = fc
  .tuple(fc.constantFrom('', 'GET ', 'POST ', '* ', 'get '), fc.array(piece, { maxLength: 8 }))
  .map(([method, pieces]) => `${method}/${pieces.join('/')}`)
const url = fc.oneof(
  fc.array(piece, { maxLength: 10 }).map((pieces) => `/${pieces.join('/')}`),
  fc.webUrl(),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom(
    '*',
    '',
    `/${'a/'.repeat(4_000)}`,
    `/${'a'.repeat(8_000)}b`,
    `/${'%61'.repeat(3_000)}`,
  ),
)

/** The rule in its simplest words. */
function fits([first, ...pattern]: readonly string[], path: readonly string[]): boolean {
  if (first === undefined) return path.length === 0
  if (first === '**')
    return fits(pattern, path) || (path.length > 0 && fits([first, ...pattern], path.slice(1)))
  const [segment, ...rest] = path
  return segment !== undefined && same([...first], [...segment]) && fits(pattern, rest)
}

function same([first, ...pattern]: readonly string[], text: readonly string[]): boolean {
  if (first === undefined) return text.length === 0
  if (first === '*')
    return same(pattern, text) || (text.length > 0 && same([first, ...pattern], text.slice(1)))
  return first === text[0] && same(pattern, text.slice(1))
}

function mustAgree(one: string, method: string, asked: string): void {
  const [, wanted = '', path = ''] = /^(?:([A-Z]+|\*) +)?(.*)$/s.exec(one) ?? []
  const split = (text: string): string[] => normalPath(text).split('/').slice(1)
  const should = ['', '*', method].includes(wanted) && fits(split(path), split(asked))
  const does = new Router({ [one]: {} }).match(method, asked) !== undefined
  if (does !== should)
    throw new Error(`${one} ${does ? 'matches' : 'does not match'} ${method} ${asked}`)
}

export const routes: Target = {
  name: 'patterns of routes, and paths',
  kind: 'in-process',
  runs: 1_500,
  async open() {
    const property = fc.property(
      fc.oneof(pattern, fc.string({ maxLength: 20 })),
      url,
      (one, asked) => {
        const fault = faultOf(one)
        if (fault) {
          if (fault.at > one.length || fault.why === '')
            throw new Error(`${one}: ${JSON.stringify(fault)}`)
          return
        }
        const began = performance.now()
        new Router({ [one]: {} }).match('GET', asked)
        if (performance.now() - began > LONGEST_MS) throw new Error('it takes too long')
        if (asked.length < 60) mustAgree(one, 'GET', asked)
      },
    )
    return await Promise.resolve({ property, servers: [] })
  },
}
