// What is written where: the server's log, the access log, and what belongs to the app and is not touched.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { RawClient, request } from './helpers/client.ts'
import { signalIfThere } from './helpers/process.ts'
import { bareEnvironment, cli, fixtures, spawnServer, startServer } from './helpers/server.ts'
import { socketPath, tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { slotsBooted } from './helpers/workers.ts'

/** The CLI as it is, its output as bytes: for what the harness would read for us. */
function bare(t: Teardown, app: string, ...flags: string[]) {
  const words = [cli, 'start', join(fixtures, app), ...flags]
  const child = spawn(process.execPath, words, { env: bareEnvironment() })
  t.onTestFinished(() => signalIfThere(child.pid!, 'SIGTERM'))
  const heard = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (chunk: Buffer) => (heard[name] = Buffer.concat([heard[name], chunk])))
  const code = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    heard,
    text: (): string => heard.stdout.toString(),
    stop: (): Promise<number | null> => {
      child.kill('SIGTERM')
      return code
    },
  }
}

describe.concurrent('the log', () => {
  test('is JSON when nobody watches: one object a line, with time, level, pid, event and msg', async (t) => {
    const server = bare(t, 'hello.js', '--workers', '2')
    await until('it is ready', () => server.text().includes('Server is ready'))
    expect(await server.stop()).toBe(0)
    const lines = server.text().trimEnd().split('\n')
    const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    for (const line of told) {
      expect(new Date(String(line['time'])).toISOString()).toBe(line['time'])
      expect(line['level']).toBe('info')
      expect(line['pid']).toBe(told[0]!['pid'])
      expect(line['event']).toMatch(/^[a-z]+[A-Za-z]*$/)
      expect(line['msg']).toMatch(/^\S.*\S$/)
    }
    expect(told[0]!['event']).toBe('starting')
    expect(told.at(-1)!['event']).toBe('stopped')
    const times = told.map(({ time }) => String(time))
    expect(times).toEqual([...times].sort())
    expect(server.heard.stderr.toString()).toBe('')
  })

  test("as text has Gunicorn's form and sentences, without colours in a file or a pipe", async (t) => {
    const server = bare(t, 'hello.js', '--log-format', 'text')
    await until('it is ready', () => server.text().includes('Server is ready'))
    expect(await server.stop()).toBe(0)
    const lines = server.text().trimEnd().split('\n')
    for (const line of lines)
      expect(line).toMatch(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[[A-Z]+\] \S/)
    const said = lines.map((line) => line.replace(/^(\[[^\]]*\] ){3}/, ''))
    for (const sentence of [
      /^Starting supervisor \d+\.\d+\.\d+ \(Node v\d+/,
      /^Booting worker with pid: \d+$/,
      /^Listening at: http:\/\/127\.0\.0\.1:\d+ \(\d+\)$/,
      /^Handling signal: term$/,
      /^Worker exiting \(pid: \d+\)/,
      /^Shutting down: Master/,
    ])
      expect(
        said.some((line) => sentence.test(line)),
        String(sentence),
      ).toBe(true)

    expect(server.text()).not.toMatch(/\x1b/)
  })

  test('as text shows the last words of a worker under its crash', async (t) => {
    const server = bare(t, 'last-words.js', '--log-format', 'text')
    await until('it is ready', () => server.text().includes('Server is ready'))
    const url = /Listening at: (\S+)/.exec(server.text())![1]!
    await request(url, '/die').catch((error: NodeJS.ErrnoException) => error.code)
    await until('the crash is logged', () =>
      /exited with code 9.*\n( {4}\| .*\n)+/.test(server.text()),
    )
    expect(server.text()).toMatch(
      /\[ERROR\] Worker \(pid:\d+\) exited with code 9[^\n]*\n {4}\| last word 11\n/,
    )
    await server.stop()
  })

  test('with --log-file is appended to the file, and stdout has none of it', async (t) => {
    const file = join(tempDir(t, { log: 'an earlier line\n' }), 'log')
    const server = bare(t, 'hello.js', '--log-file', file)
    await until('it is ready', () => textOf(file).includes('Server is ready'))
    expect(await server.stop()).toBe(0)
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    expect(lines[0]).toBe('an earlier line')
    expect(JSON.parse(lines[1]!)).toMatchObject({ event: 'starting' })
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ event: 'stopped' })
    expect(server.text()).toBe('')
  })

  test('with --log-file that cannot be written ends the start with the reason, and nothing is left running', async (t) => {
    const file = join(tempDir(t), 'no', 'such', 'log')
    const server = spawnServer(t, 'hello.js', '--workers', '2', '--log-file', file)
    expect(await server.exit()).toMatchObject({ code: 1 })
    expect(server.stderr).toMatch(/cannot write the log file .*--log-file.*ENOENT/)
    expect(server.stderr).toContain(file)
    expect(server.stderr).not.toMatch(/ at .*\.js:/)
    expect(slotsBooted(server)).toEqual([])
  })

  test('with --log-level error has nothing less important', async (t) => {
    const file = join(tempDir(t, { log: '' }), 'log')
    const flags = ['--log-level', 'error', '--log-file', file]
    const bind = `unix:${socketPath(t)}`
    const server = spawnServer(t, 'hello-export.js', ...flags, { bind })
    await until('it serves', () => request(bind, '/').then(Boolean, () => false))
    await request(bind, '/abort').catch((error: NodeJS.ErrnoException) => error.code)
    await until('the crash is logged', () => readFileSync(file, 'utf8').includes('SIGKILL'))
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toEqual([
      'workerCrashed',
    ])
  })
})

describe.concurrent('the output of the app', () => {
  test('passes through byte by byte, on stdout and on stderr', async (t) => {
    const file = join(tempDir(t), 'log')
    const server = bare(t, 'noisy.js', '--log-file', file)
    await until('it is ready', () => /Server is ready/.test(textOf(file)))
    expect(await server.stop()).toBe(0)
    const bytes = Buffer.concat([
      Buffer.from(
        '{"level":"info","msg":"looks like a log line"}\n\x1b[31mred\x1b[0m\r\n\ttab\n\n',
      ),
      Buffer.from([0x00, 0xff, 0xfe, 0x0a]),
      Buffer.from('no line end'),
    ])
    expect(server.heard.stdout).toEqual(Buffer.concat([Buffer.from('out '), bytes]))
    expect(server.heard.stderr).toEqual(Buffer.concat([Buffer.from('err '), bytes]))
  })

  test('is complete even if the app exits right after it', async (t) => {
    const server = await startServer(t, 'last-words.js')
    await expect(server.get('/die')).rejects.toMatchObject({ code: 'ECONNRESET' })
    server.expectLog(/exited with code 9/)
    await server.log(/exited with code 9/)
    await until('the last of it is there', () => server.stderrLines.includes('last word 30'))
    expect(server.stderrLines.filter((line) => line.startsWith('last word'))).toHaveLength(30)
  })
})

const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    // ENOENT: not opened yet.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

describe.concurrent('a reader that leaves', () => {
  for (const stream of ['stdout', 'stderr'] as const) {
    test(`${stream}: the server goes on, and stops cleanly`, async (t) => {
      const bind = `unix:${socketPath(t)}`
      const words = [cli, 'start', join(fixtures, 'hello-export.js'), '--workers', '2']
      const env = bareEnvironment()
      const child = spawn(process.execPath, [...words, '--bind', bind, '--backoff-max', '0'], {
        env,
      })
      t.onTestFinished(() => signalIfThere(child.pid!, 'SIGKILL'))
      const code = new Promise<number | null>((resolve) => child.once('exit', resolve))
      await until('it serves', () => request(bind, '/').then(Boolean, () => false))
      child[stream].destroy()
      await request(bind, '/slow?ms=1')
      for (let n = 0; n < 3; n++) {
        await request(bind, '/crash').catch((error: NodeJS.ErrnoException) => error.code)
        expect((await request(bind, '/')).text).toBe('hello')
      }
      child.kill('SIGHUP')
      expect((await request(bind, '/')).text).toBe('hello')
      child.kill('SIGTERM')
      expect(await code).toBe(0)
    })
  }
})

// --- the access log

const CLF =
  /^(\S+) - - \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "((?:[^"\\]|\\.)*)" (\d{3}) (\S+) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)" \d+\.\d{6}$/

describe.concurrent('the access log', () => {
  const linesOf = (file: string): string[] => textOf(file).split('\n').filter(Boolean)

  /** The lines of the file when there are so many of them. */
  const lines = (file: string, count: number): Promise<string[]> =>
    until(`${count} lines`, () => {
      const found = linesOf(file)
      return found.length >= count ? found : undefined
    })

  test('as text is in the combined format, one line for each response', async (t) => {
    const file = join(tempDir(t), 'access')
    const flags = ['--access-logfile', file, '--workers', '2', '--log-format', 'text']
    const server = bare(t, 'hello.js', ...flags)
    await until('it is ready', () => server.text().includes('Server is ready'))
    const url = /Listening at: (\S+)/.exec(server.text())![1]!
    const headers = { 'user-agent': 'test/1', referer: 'http://a/b' }
    await request(url, '/pid?q=1', { headers })
    await request(url, '/nothing', { method: 'POST', body: 'x' })
    const found = (await lines(file, 2)).map((line) => CLF.exec(line)?.slice(1) ?? line)
    expect(found.sort()).toEqual(
      [
        ['127.0.0.1', 'GET /pid?q=1 HTTP/1.1', '200', expect.anything(), 'http://a/b', 'test/1'],
        ['127.0.0.1', 'POST /nothing HTTP/1.1', '404', expect.anything(), '-', '-'],
      ].sort(),
    )
    expect(await server.stop()).toBe(0)
    expect(linesOf(file)).toHaveLength(2)
  })

  test('as JSON has the facts, one object a line', async (t) => {
    const file = join(tempDir(t), 'access')
    const server = await startServer(t, 'hello.js', '--access-log', file)
    await server.get('/slow?ms=300')
    const [line] = await lines(file, 1)
    const entry = JSON.parse(line!) as Record<string, unknown>
    expect(entry).toMatchObject({
      event: 'request',
      pid: server.pids()[0],
      slot: 0,
      remote: '127.0.0.1',
      method: 'GET',
      url: '/slow?ms=300',
      version: '1.1',
      status: 200,
    })
    expect(entry['seconds']).toBeGreaterThan(0.29)
    expect(entry['seconds']).toBeLessThan(3)
  })

  test('with "-" goes to stdout', async (t) => {
    const server = await startServer(t, 'hello.js', '--access-logfile', '-')
    await server.get('/pid')
    expect(await server.log(/^GET \/pid 200$/)).toMatchObject({ event: 'request', url: '/pid' })
  })

  test('cannot be forged: line ends, quotes and control characters stay inside their field', async (t) => {
    const forged = '1.2.3.4 - - [x] "GET /admin HTTP/1.1" 200'
    for (const format of ['text', 'json']) {
      const file = join(tempDir(t), 'access')
      const server = bare(t, 'hello.js', '--access-logfile', file, '--log-format', format)
      await until('it is ready', () => server.text().includes('Server is ready'))
      const url = /Listening at: (http[^ "]+)/.exec(server.text())![1]!
      const client = await RawClient.connect(url)
      const head = [
        `GET /"%0a${forged.replace(/ /g, '')}\\ HTTP/1.1`,
        'Host: a',
        `User-Agent: a" 200 0 "-" "\\" \tb\xe9\x9b2J${forged}`,
        `Referer: "\\x`,
        'Connection: close',
      ]
      client.send(Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'))
      await client.closed()
      expect(client.received).toMatch(/^HTTP\/1\.1 404 /)
      const found = await lines(file, 1)
      if (format === 'json') expect(JSON.parse(found[0]!)).toMatchObject({ status: 404 })
      else expect(found[0]).toMatch(CLF)

      expect(found[0]).not.toMatch(format === 'json' ? /[\x00-\x1f]/ : /[\x00-\x1f\x7f-\x9f]/)
      await server.stop()
      expect(linesOf(file)).toHaveLength(1)
    }
  })

  test('names what the client did not wait for 499', async (t) => {
    const file = join(tempDir(t), 'access')
    const server = await startServer(t, 'hello.js', '--access-log', file)
    const client = await RawClient.connect(server.url)
    client.send('GET /slow?ms=1000 HTTP/1.1\r\nHost: a\r\n\r\n')
    await server.prints(/request started/)
    client.destroy()
    const [line] = await lines(file, 1)
    expect(JSON.parse(line!)).toMatchObject({ status: 499, url: '/slow?ms=1000' })
  })

  test('knows the size of a response, however its length was said', async (t) => {
    const file = join(tempDir(t), 'access')
    const cwd = tempDir(t, {
      'app.js': `module.exports = (req, res) =>
        res.writeHead(200, { 'content-length': 5 }).end('hello')`,
    })
    const server = await startServer(t, 'app.js', '--access-log', file, { cwd })
    await server.get('/')
    const [line] = await lines(file, 1)
    expect(JSON.parse(line!)).toMatchObject({ bytes: 5 })
  })

  test('is complete at the stop: the last request before it is there', async (t) => {
    const file = join(tempDir(t), 'access')
    const server = await startServer(t, 'hello.js', '--workers', '2', '--access-log', file)
    await Promise.all(Array.from({ length: 50 }, (_, n) => server.get(`/nothing?n=${n}`)))
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(linesOf(file)).toHaveLength(50)
  })

  test('is off unless asked for', async (t) => {
    const server = await startServer(t, 'hello.js')
    await server.get('/pid')
    server.signal('SIGTERM')
    await server.exit()
    expect(server.output).toEqual([])
    expect(server.lines.filter(({ event }) => event === 'request')).toEqual([])
  })
})
