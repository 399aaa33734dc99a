// Metrics as Prometheus and StatsD get them: the server's own and the application's, of workers that live, are blocked or gone.
import { execFileSync } from 'node:child_process'
import dgram from 'node:dgram'
import { existsSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { delimiter, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Connection } from '../src/client/connection.ts'
import { metricTable } from '../src/metric-table.ts'
import { parseExposition, valueIn, type Family } from './helpers/exposition.ts'
import { startServer, type Server, type StartArgs } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

class Metered {
  readonly server: Server
  readonly #socket: string

  private constructor(server: Server, socket: string) {
    this.server = server
    this.#socket = socket
  }

  static async start(t: Teardown, app: string, ...args: StartArgs): Promise<Metered> {
    const socket = join(tempDir(t), 'ctl')
    const server = await startServer(t, app, '--control-socket', socket, ...args)
    await until('there is a control socket', () => existsSync(socket))
    return new Metered(server, socket)
  }

  async text(): Promise<string> {
    const connection = await Connection.open(this.#socket)
    try {
      const { contentType, body } = await connection.ask<{ contentType: string; body: string }>(
        'metrics',
      )
      expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
      return body
    } finally {
      connection.close()
    }
  }

  async families(): Promise<Map<string, Family>> {
    return parseExposition(await this.text())
  }

  /** See valueIn(). */
  async value(name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
    return valueIn(await this.families(), name, labels)
  }

  /** Waits until it is that. */
  async becomes(name: string, value: number, labels: Record<string, string> = {}): Promise<void> {
    let last: number | undefined
    await until(
      `${name} ${JSON.stringify(labels)} is ${value}`,
      async () => (last = await this.value(name, labels)) === value,
    ).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}, it is ${last}`)
    })
  }

  /** One after another, each by a connection of its own. */
  async orders(count: number): Promise<void> {
    for (let n = 0; n < count; n++) await this.server.get('/order')
  }
}

const promtool = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((directory) => join(directory, 'promtool'))
  .find((file) => existsSync(file))

const REQUESTS = 'http_server_request_duration_seconds_count'

describe.concurrent('the text', () => {
  test('is what Prometheus reads: every metric of the table, and labels that need care', async (t) => {
    const metered = await Metered.start(t, 'counts.mjs', {
      config: { routes: { 'GET /order': { timeout: 20 } } },
      bind: false,
    })
    const { server } = metered
    await metered.orders(2)
    await server.get('/odd')
    await server.get('/', { method: 'PROPFIND' })
    await metered.becomes(REQUESTS, 4)
    const text = await metered.text()
    const families = parseExposition(text)
    for (const [name, { type, help }] of Object.entries(metricTable))
      expect(families.get(name), name).toMatchObject({ type, help })
    expect(await metered.value(REQUESTS, { route: 'GET /order', status: '2xx' })).toBe(2)
    expect(await metered.value(REQUESTS, { method: '_OTHER' })).toBe(1)
    expect(families.get('shop_odd')?.samples.map(({ labels }) => labels['text'])).toEqual([
      'a "quote",\na \\ and a }',
      'and so on',
    ])
    expect(families.get('nodicorn_workers')?.samples.length, 'ours').toBeGreaterThan(5)
    await server.log(/nodicorn_workers is not shown/)
    const clashes = server.lines.filter(({ event }) => event === 'metricClash')
    expect(clashes.length, 'it is said once').toBe(1)
    if (promtool) execFileSync(promtool, ['check', 'metrics'], { input: text })
  })

  test('has as many series after 10,000 URLs, methods and header values as before', async (t) => {
    const metered = await Metered.start(t, 'hello.js', '--workers', '2')
    const series = async (): Promise<string[]> =>
      [...(await metered.families()).values()]
        .flatMap(({ samples }) => samples)
        .map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`)
        .sort()
    const methods = ['GET', 'PUT', 'PROPFIND', 'MKCOL', 'REPORT']
    const line = (n: number): string =>
      `${methods[n % methods.length]} /${n}?q=${n} HTTP/1.1\r\nHost: h${n}\r\nX-Request-Id: ${n}\r\nUser-Agent: u${n}\r\nReferer: r${n}\r\n\r\n`
    await pipelined(
      metered.server.url,
      methods.map((_, n) => line(n)),
    )
    await metered.becomes(REQUESTS, methods.length)
    const known = async (): Promise<number | undefined> =>
      (await metered.families()).get('nodicorn_event_loop_utilization')?.samples.length
    await until('both workers have told how they are', async () => (await known()) === 2)
    const before = await series()
    const all = Array.from({ length: 10_000 }, (_, n) => line(n))
    for (let n = 0; n < 10; n++)
      await pipelined(metered.server.url, all.slice(n * 1000, (n + 1) * 1000))
    await metered.becomes(REQUESTS, 10_000 + methods.length)
    expect(await series()).toEqual(before)
  })
})

describe.concurrent("the application's own metrics", () => {
  test('are those of all workers, and counters keep what those have counted that are gone', async (t) => {
    const metered = await Metered.start(t, 'counts.mjs', '--workers', '2', { bind: false })
    const { server } = metered
    server.expectLog(/was ended by SIGKILL/)
    await metered.orders(20)
    await metered.becomes('shop_orders_total', 20, { kind: 'book' })
    expect(await metered.value('shop_order_size_count')).toBe(20)
    await metered.becomes('shop_carts', 2) // a gauge of each worker
    expect(await metered.value('shop_peak'), 'by its aggregator').toBe(Math.max(...server.pids()))
    await metered.orders(5) // nobody asks before the workers leave: they tell by themselves
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    expect(await metered.value('shop_orders_total')).toBe(25)
    await metered.becomes('shop_carts', 2)
    expect(await metered.value(REQUESTS)).toBe(25)
    expect(await metered.value('nodicorn_reloads_total', { result: 'done' })).toBe(1)
    expect(await metered.value('nodicorn_worker_drain_duration_seconds_count')).toBe(2)
    await metered.orders(10)
    await metered.becomes('shop_orders_total', 35)
    for (const pid of server.pids()) process.kill(pid, 'SIGKILL')
    await server.logTimes(/^Worker ready/, 6)
    expect(await metered.value('shop_orders_total'), 'as it was read last').toBe(35)
    await metered.becomes('shop_carts', 2)
    expect(await metered.value('nodicorn_worker_restarts_total', { reason: 'crash' })).toBe(2)
  })

  test('of a blocked worker are those it told last, and nobody waits for it', async (t) => {
    const flags = ['--workers', '2', '--timeout', '120']
    const metered = await Metered.start(t, 'counts.mjs', ...flags, { bind: false })
    const { server } = metered
    await metered.orders(4)
    await metered.becomes('shop_orders_total', 4)
    const stuck: Promise<unknown>[] = []
    for (const blocked of [1, 2]) {
      stuck.push(server.get('/block').catch((error: Error) => error))
      await metered.becomes('nodicorn_workers', blocked, { state: 'blocked' })
    }
    const times: number[] = []
    let text = ''
    for (let n = 0; n < 5; n++) {
      const began = performance.now()
      text = await metered.text()
      times.push(performance.now() - began)
    }
    expect(Math.min(...times), `of ${times.join(', ')} ms`).toBeLessThan(200)
    expect(text).toMatch(/^shop_orders_total\{kind="book"\} 4$/m)
    expect(text).toMatch(/^http_server_active_requests\{slot="[01]"\} 1$/m)
    for (const pid of server.pids()) process.kill(pid, 'SIGKILL')
    server.expectLog(/was ended by SIGKILL/)
    await Promise.all(stuck)
  })

  test('are found in registries that are exposed, and broken ones harm nobody', async (t) => {
    const metered = await Metered.start(t, 'exposes.mjs')
    await metered.becomes('exposed_things', 3)
    expect(await metered.value('fine_things')).toBe(1)
    await metered.server.log(/metrics are not complete: Error: no database/)
    expect((await metered.server.get('/')).text).toBe('TypeError')
  })
})

describe.concurrent('StatsD', () => {
  test("is told each second, under Gunicorn's names if so asked, with tags", async (t) => {
    const { port, lines } = await listenForDatagrams(t)
    const server = await startServer(
      t,
      'hello.js',
      ...['--statsd-host', `127.0.0.1:${port}`],
      ...['--statsd-prefix', 'shop.gunicorn', '--dogstatsd-tags', 'env:prod,team:web'],
    )
    await Promise.all(Array.from({ length: 8 }, () => server.get('/')))
    const counted = (name: string): number =>
      lines.reduce((sum, line) => {
        const [, value] = new RegExp(`^shop\\.gunicorn\\.${name}:(\\d+)\\|c`).exec(line) ?? []
        return sum + Number(value ?? 0)
      }, 0)
    await until('all requests were told', () => counted('requests') === 8)
    expect(counted('request\\.status\\.2xx')).toBe(8)
    expect(lines.filter((line) => !line.endsWith('|#env:prod,team:web'))).toEqual([])
    expect(lines.map((line) => line.split('|#')[0])).toContain('shop.gunicorn.workers:1|g')
    const timings = lines.flatMap((line) => {
      const [, ms, rate] = /request\.duration:([\d.]+)\|ms(?:\|@([\d.]+))?\|#/.exec(line) ?? []
      return ms === undefined ? [] : [Math.round(1 / Number(rate ?? 1))]
    })
    expect(timings.reduce((sum, n) => sum + n, 0)).toBe(8)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  // without the right to broadcast, nothing can be sent there
  test('may be out of reach: that is one line in the log', async (t) => {
    const server = await startServer(t, 'hello.js', '--statsd-host', '255.255.255.255:9')
    await server.log(/^Metrics do not reach 255\.255\.255\.255:9 .*EACCES/)
    expect((await server.get('/')).text).toBe('hello')
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(server.lines.filter(({ event }) => event === 'statsdFailed').length).toBe(1)
  })
})

describe.concurrent('an OpenTelemetry collector', () => {
  test('gets all metrics, those of the application too, and the last ones in the end', async (t) => {
    const bodies: string[] = []
    const collector = http.createServer((req, res) => {
      let body = ''
      req.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
      req.on('end', () => {
        bodies.push(`${req.method} ${req.url} ${req.headers['content-type']} ${body}`)
        res.end('{}')
      })
    })
    t.onTestFinished(() => void collector.close())
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
    const { port } = collector.address() as net.AddressInfo
    const server = await startServer(
      t,
      'counts.mjs',
      ...['--otlp-endpoint', `http://127.0.0.1:${port}/`],
      { bind: false },
    )
    await until('it has got the first ones', () => bodies.length > 0)
    for (let n = 0; n < 3; n++) await server.get('/order')
    server.signal('SIGTERM')
    await server.exit()
    const last = bodies.at(-1)!
    expect(last).toMatch(/^POST \/v1\/metrics application\/json \{"resourceMetrics":\[/)
    expect(last).toMatch(/"name":"http_server_request_duration_seconds".{0,900}"count":"3"/)
    expect(last).toMatch(/"name":"shop_orders_total".{0,300}"asDouble":3/)
  })

  test('may be missing: that is one line in the log', async (t) => {
    const nobody = 'http://127.0.0.1:2' // a port that is given to nobody
    const server = await startServer(t, 'hello.js', '--otlp-endpoint', nobody)
    await server.log(/^Metrics do not reach http:.* \(--otlp-endpoint\): connect ECONNREFUSED/)
    expect((await server.get('/')).text).toBe('hello')
  })
})

/** Sends them all at once over one connection, and waits for as many answers. */
function pipelined(url: string, requests: readonly string[]): Promise<void> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), hostname)
    let answers = 0
    let rest = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('HTTP/1.1 ')
      answers += parts.length - 1
      rest = parts.at(-1)!.slice(-8)
      if (answers < requests.length) return
      socket.destroy()
      resolve()
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${answers} answers`)))
    socket.write(requests.join(''))
  })
}

async function listenForDatagrams(t: Teardown): Promise<{ port: number; lines: string[] }> {
  const socket = dgram.createSocket('udp4')
  t.onTestFinished(() => void socket.close())
  const lines: string[] = []
  socket.on('message', (packet) => lines.push(...packet.toString().split('\n')))
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return { port: socket.address().port, lines }
}
