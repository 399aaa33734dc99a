// The stories we started from, as examples/ tell them: what each README promises of its app, with its own command line and
// shorter times.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runInit } from '../src/init/main.ts'
import { keepAliveClient, RawClient, request, type Answer } from './helpers/client.ts'
import { hasProgram, runCommand } from './helpers/command.ts'
import { spawnJobs, startRedis } from './helpers/jobs.ts'
import { startLoad } from './helpers/load.ts'
import { checkout, readPage } from './helpers/pages.ts'
import { nginxVersion } from './helpers/nginx.ts'
import { isAlive } from './helpers/process.ts'
import { startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { projectOf } from './helpers/walkthrough.ts'

const example = (name: string): string => join(checkout, 'examples', name)

/** A project of its own, with the files of the example. */
const projectLike = (t: Teardown, name: string): string => projectOf(t, `examples/${name}`)

/** The words after `supervisor start` of the first command line in the README's diff. */
function commandOf(name: string): string[] {
  const lines = readPage(`examples/${name}/README.md`).blocks.flatMap((block) => block.lines)
  return /^\+ .*supervisor start (.+)$/m.exec(lines.join('\n'))![1]!.split(' ')
}

/** `--timeout 180` in the README becomes `--timeout 1`: [from, to] word by word; a port that is free always. */
function shorter(words: readonly string[], times: Readonly<Record<string, string>>): string[] {
  const text = words.join(' ').replace(/\b0\.0\.0\.0:\d+/, '127.0.0.1:0')
  for (const from of Object.keys(times)) expect(text, 'the README says so').toContain(from)
  return Object.entries(times)
    .reduce((line, [from, to]) => line.replace(from, to), text)
    .split(' ')
}

interface Options {
  readonly times?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  readonly flags?: readonly string[]
  /** Default: a new project. */
  readonly cwd?: string
}

/** Started as its README says. */
function startStory(t: Teardown, name: string, options: Options = {}): Promise<Server> {
  const { times = {}, env = {}, flags = [], cwd = projectLike(t, name) } = options
  const words = [...shorter(commandOf(name), times), ...flags]
  const app = words.findIndex((word) => word.startsWith('app.js'))
  const [file] = words.splice(app, 1)
  return startServer(t, file!, ...words, { cwd, bind: false, env })
}

async function listen(t: Teardown, server: HttpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('invoice import', { concurrent: true }, () => {
  interface SlowModel {
    slowModel(seconds: number, onCall: (ended: Promise<string>) => void): HttpServer
  }
  const module = pathToFileURL(join(example('invoice-import'), 'slow-model.js')).href
  /** Its URL and how each call ended, in the order of the calls. */
  async function startModel(t: Teardown, seconds: number) {
    const { slowModel } = (await import(module)) as SlowModel
    const calls: string[] = []
    const server = slowModel(seconds, (ended) => {
      const n = calls.push('under way') - 1
      void ended.then((how) => (calls[n] = how))
    })
    return { url: await listen(t, server), calls }
  }
  const post = (server: Server): Promise<Answer> =>
    server.get('/invoices/import/batch/', { method: 'POST', body: 'an invoice' })

  test('as typed for Gunicorn: twenty slow imports at once are borne by two workers', async (t) => {
    const model = await startModel(t, 1)
    const server = await startStory(t, 'invoice-import', { env: { OPENROUTER_URL: model.url } })
    expect(server.allPids()).toHaveLength(2)
    const notes = server.lines.filter(({ msg }) => msg.includes('has no meaning in Node'))
    expect(notes.map(({ msg }) => msg)).toEqual([expect.stringMatching(/^--worker-class sync /)])
    await server.prints(/^Initialized LLM parser .*timeout: 120\.0s/)
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, model.calls.filter((state) => state === 'under way').length)
    }, 5)
    t.onTestFinished(() => clearInterval(watch))
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(server)))
    for (const { status, text } of answers)
      expect([status, JSON.parse(text)]).toMatchObject([200, { imported: { total: 1190 } }])
    expect(most, 'more than workers times threads').toBeGreaterThan(4)
    const imports = (): number =>
      server.lines.filter((line) => line.url === '/invoices/import/batch/').length
    await until('the access log has them', () => imports() >= 20)
  })

  test("a call with a timeout of its own is answered 504, with the call's name", async (t) => {
    const model = await startModel(t, 60)
    const env = { OPENROUTER_URL: model.url, OPENROUTER_TIMEOUT: '1' }
    const server = await startStory(t, 'invoice-import', { env })
    const { status, text } = await post(server)
    const error = `POST ${model.url}/chat/completions gave no answer within 1 s`
    expect([status, JSON.parse(text)]).toEqual([504, { error }])
    await server.complains(/^Error parsing invoice: POST .* gave no answer/m)
    await until('the call ended with it', () => !model.calls.includes('under way'))
  })

  test('a call without one ends with its request: at --timeout, and when the client leaves', async (t) => {
    const model = await startModel(t, 60)
    const env = { OPENROUTER_URL: model.url, OPENROUTER_TIMEOUT: '0' }
    const times = { '--timeout 180': '--timeout 2' }
    const server = await startStory(t, 'invoice-import', { env, times })
    const pids = server.pids()
    server.expectLog(/^REQUEST TIMEOUT .*POST \/invoices\/import\/batch\/ took longer than 2 s/)
    await until('a call was aborted at the deadline', async () => {
      expect((await post(server)).status).toBe(504)
      return model.calls.includes('aborted') // on a busy machine the deadline may come before the call
    })
    await server.log(/^REQUEST TIMEOUT/)

    const before = model.calls.length
    const client = await RawClient.connect(server.url)
    client.send('POST /invoices/import/batch/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx')
    await until('the model was called', () => model.calls.length > before)
    client.destroy()
    await until('the call was aborted with its client', () => !model.calls.includes('under way'))
    expect(server.pids(), 'no worker was killed for it').toEqual(pids)
  })
})

describe('CSV import', { concurrent: true }, () => {
  const csv = (rows: number): string =>
    ['name,phone', ...Array.from({ length: rows }, (_, n) => `Ada,${n}`)].join('\n')
  const post = (server: Server, id: string, rows: number): Promise<Answer> =>
    server.get('/contacts/import', {
      method: 'POST',
      headers: { 'content-type': 'text/csv', 'x-request-id': id },
      body: csv(rows),
    })
  /** A phone service; `check` answers when it wants to. */
  const startPhones = (t: Teardown, check: RequestListener): Promise<string> =>
    listen(t, createServer(check))

  test.each([
    [{ TIMEOUT: '20', WORKERS: '2' }, 'TIMEOUT', 'WORKERS'],
    [{ GUNICORN_TIMEOUT: '20', GUNICORN_WORKERS: '2' }, 'GUNICORN_TIMEOUT', 'GUNICORN_WORKERS'],
  ])('takes %j from the environment', async (env, timeout, workers) => {
    const said = await runCommand(env, ['config', '--json'], example('csv-import'))
    expect(JSON.parse(said.stdout)).toMatchObject({
      settings: {
        timeout: { value: 20, source: timeout },
        workers: { value: 2, source: workers },
        slowRatio: { value: 0.5 },
      },
    })
  })

  test('two at a time in each worker, the progress by events, and a limit for files', async (t) => {
    let [now, most, open] = [0, 0, false]
    const waiting: (() => void)[] = []
    const phones = await startPhones(t, (_, res) => {
      most = Math.max(most, ++now)
      res.once('close', () => now--)
      // The first ones wait for each other: two imports are under way.
      if (open) return void res.end()
      waiting.push(() => res.end())
    })
    const env = { WORKERS: '1', PHONE_SERVICE: phones, PROGRESS_DIR: tempDir(t) }
    const server = await startServer(t, 'app.js:app', { cwd: example('csv-import'), env })
    const imports = ['a', 'b', 'c', 'd'].map((id) => post(server, id, 3))
    const events = request(server.url, '/contacts/import/d/events')
    await until('two rows are being checked', () => waiting.length === 2)
    open = true
    for (const answer of waiting) answer()
    for (const { status, text } of await Promise.all(imports))
      expect([status, text]).toEqual([200, '{"imported":3}'])
    expect(most).toBe(2)
    expect((await events).text).toMatch(/data: {"done":3,"of":3}\n\nevent: end\n/)

    const big = await RawClient.connect(server.url)
    const head = 'POST /contacts/import HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n'
    big.send(`${head}Content-Length: ${51 * 1024 ** 2}\r\n\r\n`)
    await big.receives(/^HTTP\/1\.1 413 /)
    big.destroy()
  })

  test("a route's own timeout: a warning at half of it, then 504, and the import stops", async (t) => {
    let checked = 0
    const waiting: (() => void)[] = []
    const phones = await startPhones(t, (_, res) => {
      if (++checked < 3) res.end()
      else waiting.push(() => res.end())
    })
    const env = {
      ...{ GUNICORN_TIMEOUT: '300', GUNICORN_WORKERS: '1', IMPORT_TIMEOUT: '2' },
      ...{ PHONE_SERVICE: phones, PROGRESS_DIR: tempDir(t) },
    }
    const options = { cwd: example('csv-import'), env }
    const server = await startServer(t, 'app.js:app', '--timeout-header', options)
    server.expectLog(/^REQUEST TIMEOUT/)
    const late = await post(server, 'late', 10)
    const route = '2; route="POST /contacts/import"'
    expect([late.status, late.headers['x-timeout']]).toEqual([504, route])
    for (const answer of waiting) answer()
    expect((await server.get('/')).headers['x-timeout']).toBe('300')
    await server.log(/^Slow request .* has taken [\d.]+ s of its 2 s/)
    await server.log(/^REQUEST TIMEOUT/)
    expect(checked, 'the row it waited for was its last').toBeLessThanOrEqual(3)
  })
})

describe('invoice extractor', { concurrent: true }, () => {
  test('as typed for Gunicorn: sessions outlive a reload and the death of all workers', async (t) => {
    const dir = tempDir(t)
    const server = await startStory(t, 'invoice-extractor', { env: { SESSIONS_DIR: dir } })
    expect(server.pids()).toHaveLength(4)
    const image = 'not really a picture'.repeat(1000)
    const headers = { 'content-type': 'image/png' }
    const saved = await server.get('/sessions', { method: 'POST', body: image, headers })
    expect(saved.status).toBe(201)
    const { id } = saved.json<{ id: string }>()
    const mustBeThere = async (): Promise<void> => {
      const answer = await server.get(`/sessions/${id}/image`)
      expect([answer.status, answer.headers['content-type'], answer.text === image]).toEqual([
        ...[200, 'image/png', true],
      ])
    }
    const before = server.pids()
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    for (let n = 0; n < 4; n++) await mustBeThere()

    server.expectLog(/was killed|SIGKILL/)
    const from = server.lines.length
    const killed = server.pids()
    expect(killed.filter((pid) => before.includes(pid))).toEqual([])
    for (const pid of killed) process.kill(pid, 'SIGKILL')
    await until('they are dead', () => !killed.some(isAlive))
    await mustBeThere()
    await server.log(/^Worker ready/, { from })
    for (let n = 0; n < 4; n++) await mustBeThere()
    expect(readdirSync(dir), 'and nothing unfinished').toEqual([id])
    expect((await server.get('/sessions/../../etc')).status).toBe(404)
  })

  // test/nginx.test.ts says how to get it.
  test.skipIf(nginxVersion() === undefined)('nginx takes the site', (t) => {
    const site = readFileSync(join(example('invoice-extractor'), 'deploy/nginx.conf'), 'utf8')
    const dir = tempDir(t)
    const http = site.replace('listen 80;', `listen unix:${dir}/nginx.sock;`)
    const file = join(dir, 'nginx.conf')
    writeFileSync(file, `pid ${dir}/pid;\nevents {}\nhttp {\naccess_log off;\n${http}\n}\n`)
    const command = `PATH=$PATH:/usr/local/sbin:/usr/sbin exec nginx -t -q -p ${dir} -e stderr -c ${file}`
    execFileSync('sh', ['-c', command], { stdio: 'pipe' }) // throws with what nginx says
  })
})

describe('referrals API', { concurrent: true }, () => {
  const path = '/api/medics/referrals/practitioner?id=2'

  test('the settings file means what gunicorn_config.py meant', async (t) => {
    const [, ...words] = commandOf('referrals-api')
    const said = await runCommand(
      {},
      ['config', '--json', ...words],
      projectLike(t, 'referrals-api'),
    )
    expect(JSON.parse(said.stdout)).toMatchObject({
      settings: {
        timeout: { value: 120, source: 'supervisor.config.ts' },
        workers: { value: availableParallelism() * 2 + 1 },
        maxRequests: { value: 1000 },
        keepAlive: { value: 5 },
        preload: { value: true },
        accessLog: { value: '-' },
      },
    })
  })

  test('ab -n 1000 -c 10: 0 failed while workers are recycled, and a line for each', async (t) => {
    const recycle = ['--max-requests', '150', '--max-requests-jitter', '20']
    const env = { BIND: '127.0.0.1:0' }
    const flags = ['--workers', '2', '--drain-idle', '0.3', ...recycle]
    const server = await startStory(t, 'referrals-api', { env, flags })
    const fetched = server.output.filter((line) => line === 'preloaded 40 referrals')
    expect(fetched, 'once for all workers').toHaveLength(1)
    const first = await server.get(path)
    expect(first.json<unknown[]>()).toHaveLength(10)
    expect(first.json<{ tests: unknown[] }[]>()[0]?.tests).toHaveLength(3)
    const kept = keepAliveClient(server.url)
    t.onTestFinished(() => kept.destroy())
    expect((await kept.get(path)).headers['keep-alive']).toBe('timeout=5')

    const load = startLoad(t, server.url, { path, keepAlive: 0, newConnections: 10, pause: 0 })
    await until('1000 requests are through', () => load.counts.ok >= 1000)
    const counts = await load.stop()
    expect(load.failures).toEqual([])
    await server.logTimes(/recycl|max-requests/i, 2)
    const logged = (): number => server.lines.filter(({ event }) => event === 'request').length
    await until('the access log has them all', () => logged() === counts.ok + 2)
  })
})

describe('document parser', { concurrent: true }, () => {
  interface Status {
    readonly status: string
    readonly progress: { readonly current_page: number } | null
  }
  const PAGES = 60
  const isTable = (page: number): boolean => page % 10 === 0
  const pages = Array.from({ length: PAGES }, (_, n) => (isTable(n + 1) ? `| ${n} |` : `page ${n}`))
  /** As `curl -F file=@document.pdf -F accuracy_mode=balanced` sends it. */
  async function post(server: Server, path: string, text: string): Promise<Answer> {
    const form = new FormData()
    form.append('file', new File([text], 'document.pdf', { type: 'application/pdf' }))
    form.append('accuracy_mode', 'balanced')
    form.append('output_format', 'markdown')
    const sent = new Request('http://a', { method: 'POST', body: form })
    const type = sent.headers.get('content-type') ?? ''
    return server.get(path, {
      method: 'POST',
      headers: { 'content-type': type },
      body: await sent.text(),
    })
  }
  /** Of each test its store: the variables that name it. */
  const stores: Record<string, (t: Teardown) => Promise<Record<string, string>>> = {
    'in a directory': () => Promise.resolve({}),
    'in a Redis': async (t) => ({ REDIS_URL: (await startRedis(t, '--appendonly', 'yes')).url! }),
  }
  const hasRedis = hasProgram('redis-server')
  if (!hasRedis)
    console.error(
      'test/stories.test.ts skips a test: there is no redis-server (apt-get install -y --no-install-recommends redis-server)',
    )

  for (const [place, storeOf] of Object.entries(stores))
    test.skipIf(place === 'in a Redis' && !hasRedis)(
      `with its jobs ${place}, a document survives a stop and the death of all processes`,
      async (t) => {
        const store = await storeOf(t)
        const cwd = projectLike(t, 'document-parser')
        const start = (more: Record<string, string> = {}): Promise<Server> => {
          const env = { PAGE_SECONDS: '0.25', NUM_WORKERS: '1', ...store, ...more }
          return startStory(t, 'document-parser', { cwd, env, times: { '--workers 4': '-w 2' } })
        }
        const readPages = (): number =>
          readdirSync(join(cwd, 'var/documents'), { recursive: true, encoding: 'utf8' }).filter(
            (file) => file.endsWith('.md'),
          ).length

        const first = await start()
        const accepted = await post(first, '/v1/process/async', pages.join('\f'))
        const { job_id: id } = accepted.json<{ job_id: string }>()
        expect([accepted.status, accepted.json()]).toEqual([
          202,
          {
            job_id: expect.stringMatching(/^[\da-f-]{36}$/) as unknown,
            status: 'queued',
            message: 'Job submitted successfully',
            status_url: `/v1/jobs/${id}/status`,
            result_url: `/v1/jobs/${id}/result`,
          },
        ])
        const statusOf = async (server: Server): Promise<Status> =>
          (await server.get(`/v1/jobs/${id}/status`)).json<Status>()
        const isAt = async (page: number): Promise<boolean> =>
          ((await statusOf(first)).progress?.current_page ?? 0) >= page
        await until('it is at page 3', () => isAt(3), 60_000)
        expect(await statusOf(first)).toMatchObject({
          status: 'processing',
          filename: 'document.pdf',
          progress: { total_pages: PAGES, nanonets_pages: expect.any(Number) as unknown },
          created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown,
          started_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown,
        })
        expect((await first.get(`/v1/jobs/${id}/result`)).status).toBe(409)
        first.signal('SIGTERM')
        expect(await first.exit()).toMatchObject({ code: 0 })

        const before = readPages()
        const second = await start()
        await until('it goes on where it was', () => readPages() > before, 60_000)
        expect(readPages(), 'there is something left to do').toBeLessThan(PAGES)
        const beside = second.lines.filter(({ event }) => event === 'processBooting')
        const all = [...second.pids(), ...beside.map((line) => Number(line['worker']))]
        for (const pid of [second.pid, ...all]) process.kill(pid, 'SIGKILL')
        await until('all are dead', () => !all.some(isAlive))

        // "Separate workers", where that is possible
        const isShared = store['REDIS_URL'] !== undefined
        const third = await start(isShared ? { NUM_WORKERS: '0' } : {})
        if (isShared) spawnJobs(t, cwd, store)
        const { text } = await third.get(`/v1/jobs/${id}/events`)
        const seen = [...text.matchAll(/^event: progress\ndata: (.+)$/gm)].map(
          ([, data]) => (JSON.parse(data!) as { current_page: number }).current_page,
        )
        expect(seen.length, text).toBeGreaterThan(1)
        expect(seen).toEqual(seen.toSorted((a, b) => a - b))
        expect(text).toMatch(/\nevent: completed\ndata: .*"filename":"document\.pdf"/)
        const result = { markdown: pages.join('\n\n'), filename: 'document.pdf' }
        expect((await third.get(`/v1/jobs/${id}/result`)).json()).toEqual(result)
        const progress = {
          current_page: 60,
          total_pages: 60,
          deepseek_pages: 54,
          nanonets_pages: 6,
        }
        const done = { job_id: id, status: 'completed', progress }
        expect((await third.get('/v1/jobs?limit=50')).json()).toMatchObject({ jobs: [done] })
        const small = await post(third, '/v1/process/sync', 'one page')
        expect(small.json()).toEqual({ markdown: 'one page', filename: 'document.pdf' })
      },
      240_000,
    )

  test('results are kept for 24 hours, and NUM_WORKERS says how many processes there are', async (t) => {
    const cwd = projectLike(t, 'document-parser')
    const said = await runCommand({ NUM_WORKERS: '4' }, ['config', '--json'], cwd)
    expect(JSON.parse(said.stdout)).toMatchObject({
      settings: { jobs: { value: { keep: 86_400, workers: 4, store: 'embedded' } } },
    })
  })
})

describe('the files of an example are those that supervisor init writes there:', () => {
  /** What init cannot know: where the app writes. */
  const added: Readonly<Record<string, readonly string[]>> = {
    'document-parser/.dockerignore': ['var/documents'],
    'document-parser/Dockerfile': [
      '# uploads are in there: mount a volume',
      'RUN mkdir -p var/documents && chown node:node var/documents',
    ],
    'document-parser/compose.yaml': [
      '    # uploads',
      '    volumes:',
      '      - documents:/app/var/documents',
      '  documents:',
    ],
  }

  test.each([
    ['invoice-extractor', ['systemd', 'nginx']],
    ['referrals-api', ['docker', 'compose']],
    ['document-parser', ['docker', 'compose', 'systemd']],
  ])('%s: %j', async (name, targets) => {
    const directory = projectLike({ onTestFinished }, name)
    for (const file of ['deploy', 'Dockerfile', '.dockerignore', 'compose.yaml'])
      rmSync(join(directory, file), { recursive: true, force: true })
    const said: string[] = []
    const place = { directory, print: (text: string) => void said.push(text), complain: fail }
    for (const target of targets) expect(await runInit([target], place)).toBe(0)
    const files = said.flatMap((text) => /^Wrote (.+)\.$/m.exec(text)![1]!.split(' and '))
    expect(files.length).toBeGreaterThanOrEqual(targets.length)
    for (const file of files) {
      const written = readFileSync(join(directory, file), 'utf8')
        .replaceAll(directory, `/srv/${name}`)
        .replace(/^Environment=PATH=.*\n/m, '') // this machine's node
      const lines = readFileSync(join(example(name), file), 'utf8').split('\n')
      for (const line of added[`${name}/${file}`] ?? []) lines.splice(lines.indexOf(line), 1)
      // a directory below /tmp must see it
      const shown = lines.filter((line) => line !== 'PrivateTmp=true').join('\n')
      expect(shown, file).toBe(written)
    }
    const { scripts } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
      scripts: { start: string }
    }
    const words = commandOf(name)
      .join(' ')
      .replace(/ --worker-class \S+/, '')
    expect(scripts.start.replace('127.0.0.1:8080', '0.0.0.0:8080')).toBe(
      `supervisor start ${words}`,
    )
  })
})

const fail = (line: string): never => {
  throw new Error(line)
}
