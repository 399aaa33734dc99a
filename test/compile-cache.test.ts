// V8's compile cache with --preload, where Node has one: where it is, who may have written to it, and what becomes of it.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import * as nodeModule from 'node:module'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const app = 'preloaded.js'

/** What the app found when it was loaded. */
interface Facts {
  readonly cache: string | null
  readonly inherited: readonly string[]
}

const factsOf = async (server: Server): Promise<Facts> =>
  JSON.parse((await server.get('/')).text) as Facts

const hasCache = 'enableCompileCache' in nodeModule
const NAME = /^[0-9a-f]{16}$/

/** Directories of compile caches below XDG_CACHE_HOME. */
const cachesIn = (cache: string): string[] => {
  const all = join(cache, 'nodicorn', 'compile-cache')
  return existsSync(all) ? readdirSync(all).filter((name) => NAME.test(name)) : []
}

/** Everything that can hold a cache, out of the way of others. */
function places(t: Teardown): { cache: string; temp: string; env: Record<string, string> } {
  const [cache, temp] = [tempDir(t), tempDir(t)]
  return { cache, temp, env: { XDG_CACHE_HOME: cache, XDG_RUNTIME_DIR: tempDir(t), TMPDIR: temp } }
}

describe.concurrent("V8's compile cache", () => {
  test('is in a directory of its own, filled before the first worker, which reads it; without one in Node all works', async (t) => {
    const { cache, env } = places(t)
    const server = await startServer(t, app, '--preload', { env })
    const facts = await factsOf(server)
    expect(facts.inherited).toEqual([])
    const found = cachesIn(cache)
    expect(found).toHaveLength(hasCache ? 1 : 0)
    if (!hasCache) return expect(facts.cache).toBeNull()
    const directory = join(realpathSync(cache), 'nodicorn', 'compile-cache', found[0]!)
    expect(facts.cache?.startsWith(directory)).toBe(true)
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(readdirSync(facts.cache!).length).toBeGreaterThan(0)
    // the next start finds the same one
    await startServer(t, app, '--preload', { env })
    expect(cachesIn(cache)).toEqual(found)
  })

  test('is not made without --preload, with --no-compile-cache, with NODE_DISABLE_COMPILE_CACHE', async (t) => {
    const ways: [flags: string[], env?: Record<string, string>][] = [
      [[]],
      [['--preload', '--no-compile-cache']],
      [['--preload'], { NODE_DISABLE_COMPILE_CACHE: '1' }],
    ]
    for (const [flags, more] of ways) {
      const { cache, temp, env } = places(t)
      const server = await startServer(t, app, ...flags, { env: { ...env, ...more } })
      expect((await factsOf(server)).cache).toBeNull()
      expect([readdirSync(cache), readdirSync(temp)]).toEqual([[], []])
    }
  })

  test('is theirs if NODE_COMPILE_CACHE says where', async (t) => {
    const { cache, temp, env } = places(t)
    const theirs = tempDir(t)
    const server = await startServer(t, app, '--preload', {
      env: { ...env, NODE_COMPILE_CACHE: theirs },
    })
    const facts = await factsOf(server)
    if (hasCache) expect(facts.cache?.startsWith(theirs)).toBe(true)
    expect(facts.inherited).toEqual(['NODE_COMPILE_CACHE'])
    expect([readdirSync(cache), readdirSync(temp)]).toEqual([[], []])
  })

  test('is not used where others could write: then in the temporary directory, or not at all', async (t) => {
    const { cache, temp, env } = places(t)
    mkdirSync(join(cache, 'nodicorn'))
    chmodSync(join(cache, 'nodicorn'), 0o777)
    const second = await startServer(t, app, '--preload', { env })
    const ours = join(realpathSync(temp), `nodicorn-${process.geteuid!()}`)
    const { cache: used } = await factsOf(second)
    expect(used?.startsWith(ours) ?? null).toBe(hasCache || null)

    chmodSync(temp, 0o777)
    const third = await startServer(t, app, '--preload', { env })
    expect((await factsOf(third)).cache).toBeNull()
    // nobody's home, which is not made either
    const missing = join(cache, 'missing')
    const nowhere = { HOME: missing, XDG_CACHE_HOME: 'relative', TMPDIR: missing }
    const fourth = await startServer(t, app, '--preload', { env: nowhere })
    expect([(await factsOf(fourth)).cache, existsSync(missing)]).toEqual([null, false])
  })

  test('is lost without harm while the server runs, and looked at again by each worker', async (t) => {
    const { cache, env } = places(t)
    const server = await startServer(t, app, '--preload', { env })
    const [name = 'none'] = cachesIn(cache)
    const all = join(cache, 'nodicorn', 'compile-cache')
    if (hasCache) chmodSync(join(all, name), 0o777)
    server.expectLog(/was ended by SIGKILL/)
    await server.get('/crash').catch(() => undefined)
    await server.logTimes(/^Worker ready/, 2)
    expect((await factsOf(server)).cache).toBeNull()
    rmSync(all, { recursive: true, force: true })
    await server.get('/crash').catch(() => undefined)
    await server.logTimes(/^Worker ready/, 3)
    expect((await factsOf(server)).cache).toBeNull()
  })

  test('is removed when nobody has used it for 30 days, and nothing else is', async (t) => {
    const { cache, env } = places(t)
    const all = join(cache, 'nodicorn', 'compile-cache')
    const days = (n: number): Date => new Date(Date.now() - n * 86_400_000)
    const make = (name: string, age: number): void => {
      mkdirSync(join(all, name, 'v20'), { recursive: true })
      writeFileSync(join(all, name, 'v20', 'x'), 'x')
      utimesSync(join(all, name), days(age), days(age))
    }
    make('0123456789abcdef', 31)
    make('fedcba9876543210', 29)
    make('somebody-elses', 31)
    await startServer(t, app, '--preload', { env })
    const isGone = (): boolean => !existsSync(join(all, '0123456789abcdef'))
    if (hasCache) await until('the old one is gone', isGone)
    expect(readdirSync(all)).toEqual(expect.arrayContaining(['fedcba9876543210', 'somebody-elses']))
    expect(isGone()).toBe(hasCache)
  })
})
