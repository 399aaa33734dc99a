// What `preload` makes of the boot of an application of 1,000 modules: with it (V8's compile cache, warm) and without it, in turns.
// Prints a worker's boot, the time until the server is ready, and memory.
// `npm run bench:preload -- [--node /path/to/node] [--rounds 10] [--modules 1000] [--json]`

import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { tempDir } from '../test/helpers/temp.ts'
import { pss } from './proc.ts'
import { machine, median, Report, spread } from './report.ts'
import { run } from './site.ts'
import { cli } from './variants.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    rounds: { type: 'string', default: '10' },
    modules: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
})
const { node } = values
const rounds = Number(values.rounds)
const modules = Number(values.modules)

/** A folder of modules has so many. */
const FOLDER = 50

/** About 5 kB: a class, a table and a dozen functions, most of which nobody calls before there is a request. */
function moduleText(n: number): string {
  const functions = Array.from(
    { length: 12 },
    (_, i) => `
function step${i}(input, options = {}) {
  const { limit = ${n + i}, strict = false } = options
  const seen = new Map()
  for (const [index, item] of Object.entries(input ?? {})) {
    if (strict && seen.has(item)) throw new RangeError('seen before: ' + index)
    seen.set(item, (seen.get(item) ?? 0) + index.length * ${i + 1})
    if (seen.size > limit) break
  }
  return [...seen].map(([key, count]) => ({ key, count, of: 'module ${n}' }))
}`,
  )
  return `'use strict'
const { join } = require('node:path')
const names = [${Array.from({ length: 20 }, (_, i) => `'field_${n}_${i}'`).join(', ')}]
class Model${n} {
  #rows = new Map()
  constructor(rows = []) { for (const row of rows) this.add(row) }
  add(row) { this.#rows.set(row.id, { ...row, at: join('/models', String(row.id)) }) }
  find(id) { return this.#rows.get(id) ?? null }
  get size() { return this.#rows.size }
}
${functions.join('\n')}
const table = Object.fromEntries(names.map((name, i) => [name, [step0, step1, step2][i % 3]]))
module.exports = { Model: Model${n}, table, first: step0(names), ${functions.map((_, i) => `step${i}`).join(', ')} }
`
}

/** The application's file: it requires folders, each of which requires its modules. */
function makeApp(dir: string): string {
  const folders = Math.ceil(modules / FOLDER)
  for (let f = 0; f < folders; f++) {
    const folder = join(dir, `part${f}`)
    mkdirSync(folder)
    const own = Array.from({ length: Math.min(FOLDER, modules - f * FOLDER) }, (_, i) => i)
    for (const i of own) writeFileSync(join(folder, `m${i}.js`), moduleText(f * FOLDER + i))
    const text = own.map((i) => `exports.m${i} = require('./m${i}.js')`)
    writeFileSync(join(folder, 'index.js'), text.join('\n'))
  }
  const app = join(dir, 'app.js')
  const parts = Array.from({ length: folders }, (_, f) => `require('./part${f}')`)
  const serve = 'module.exports = (req, res) => res.end(String(parts.length))'
  writeFileSync(app, `const parts = [${parts.join(', ')}]\n${serve}\n`)
  return app
}

interface Start {
  /** From the spawn of the command to `Server is ready`, ms. */
  readonly serverMs: number
  /** Of each worker, from its fork until it is ready, ms. */
  readonly workerMs: readonly number[]
  /** Of each worker, MB. */
  readonly pss: readonly number[]
}

interface Line {
  readonly event?: string
  readonly seconds?: number
  readonly workers?: readonly number[]
}

/** Starts the server with two workers, looks, and stops it. */
async function start(app: string, cache: string, flags: readonly string[]): Promise<Start> {
  const began = performance.now()
  const words = ['start', app, '--workers', '2', '--bind', '127.0.0.1:0', '--log-format', 'json']
  const server = spawn(node, [cli, ...words, ...flags], {
    env: { PATH: process.env['PATH'], XDG_CACHE_HOME: cache },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => server.once('exit', resolve))
  const workerMs: number[] = []
  for await (const text of createInterface({ input: server.stdout })) {
    const line = JSON.parse(text) as Line
    if (line.event === 'workerReady') workerMs.push((line.seconds ?? NaN) * 1000)
    if (line.event !== 'serverReady') continue
    const serverMs = performance.now() - began
    const memory = (line.workers ?? []).map(pss)
    server.kill('SIGTERM')
    await ended
    return { serverMs, workerMs, pss: memory }
  }
  throw new Error('it ended before it was ready')
}

const variants = {
  without: ['--no-preload'],
  'preload, no cache': ['--preload', '--no-compile-cache'],
  preload: ['--preload'],
}
type Variant = keyof typeof variants
const names = Object.keys(variants) as Variant[]

await run(async (t) => {
  const dir = tempDir(t)
  const cache = tempDir(t)
  const app = makeApp(dir)
  const report = new Report(values.json)
  const cold = await start(app, cache, variants.preload)
  const seen: Record<Variant, Start[]> = { without: [], 'preload, no cache': [], preload: [] }
  for (let round = 0; round < rounds; round++)
    for (const name of round % 2 ? names : names.toReversed())
      seen[name].push(await start(app, cache, variants[name]))

  report.begin(`${modules} modules, 2 workers, ${rounds} rounds`)
  const figure = (name: Variant, of: (one: Start) => readonly number[]): number[] =>
    seen[name].flatMap(of)
  const rows = [
    { what: "a worker's boot", unit: 'ms', bound: 0.9, of: (s: Start) => s.workerMs },
    { what: 'start to ready', unit: 'ms', of: (s: Start) => [s.serverMs] },
    { what: 'memory of a worker (PSS)', unit: 'MB', bound: 1, of: (s: Start) => s.pss },
  ]
  for (const { what, unit, bound, of } of rows) {
    for (const name of names)
      report.add({
        part: 'boot',
        what: `${what}, ${name}`,
        seen: spread(figure(name, of), unit, 0),
      })
    const ratio = median(figure('preload', of)) / median(figure('without', of))
    const data = Object.fromEntries(names.map((name) => [name, figure(name, of)]))
    report.add({
      part: 'boot',
      what: `${what}, with preload to without`,
      seen: ratio.toFixed(2),
      data,
      ...(bound && { bound: `at most ${bound}`, isMet: ratio <= bound }),
    })
  }
  report.add({
    part: 'boot',
    what: 'the very first start, whose cache is empty',
    seen: `${cold.serverMs.toFixed(0)} ms to ready, a worker's boot ${median(cold.workerMs).toFixed(0)} ms`,
  })
  return report.end(machine(node))
})
