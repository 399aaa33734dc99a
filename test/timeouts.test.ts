// The request timeout while the event loop turns: a 504 to that one client, a line in the log, and nobody else notices.
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient } from './helpers/client.ts'
import { startServer, type Server } from './helpers/server.ts'

const timeoutLine = (server: Server): ReturnType<Server['log']> => {
  server.expectLog(/^REQUEST TIMEOUT/)
  return server.log(/^REQUEST TIMEOUT/)
}

describe('--timeout', { concurrent: true }, () => {
  test('answers 504 when it has passed, and logs who, what and how long', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.5')
    const [pid] = server.pids()
    const began = performance.now()
    const answer = await server.get('/never?secret=1')
    const took = performance.now() - began
    expect(answer.status).toBe(504)
    expect(answer.text).toMatch(/Gateway Timeout.*0\.5 s/)
    expect(answer.headers.connection).toBe('close')
    expect(took).toBeGreaterThan(450)
    expect(took).toBeLessThan(2_500)
    const line = await timeoutLine(server)
    expect(line.msg).toBe(
      `REQUEST TIMEOUT (pid:${pid}): GET /never?secret=1 took longer than 0.5 s; answered 504`,
    )
    expect(line).toMatchObject({ level: 'error', worker: pid, slot: 0, answered: true })
    expect((await server.get('/pid')).text, 'its worker goes on').toBe(String(pid))
  })

  test('spares the neighbours: a shorter request on the same worker is answered', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.5')
    const late = server.get('/never')
    const neighbours = Array.from({ length: 5 }, () => server.get('/slow?ms=300'))
    for (const answer of await Promise.all(neighbours)) expect(answer.text).toBe('done')
    expect((await late).status).toBe(504)
    await timeoutLine(server)
  })

  test('ignores what the handler writes afterwards: nothing throws, the worker lives on', async (t) => {
    const server = await startServer(t, 'writes-late.js', '--timeout', '0.3')
    const [pid] = server.pids()
    expect((await server.get('/late')).status).toBe(504)
    await timeoutLine(server)
    await server.prints(/the late handler has ended/)
    expect((await server.get('/pid')).text).toBe(String(pid))
    expect(server.stderr).toBe('')
  })

  test('ends the connection if the response had begun, and says so', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.5')
    const client = await RawClient.connect(server.url)
    client.send('GET /stream?chunks=1000&ms=50 HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives(/chunk 1000/)
    await client.closed()
    expect(client.received, 'no 504 inside the body').not.toMatch(/504/)
    expect(client.received, 'cut short, and visibly so').not.toMatch(/\r\n0\r\n\r\n$/)
    const line = await timeoutLine(server)
    expect(line.msg).toMatch(/the response had begun, the connection was closed$/)
    expect((await server.get('/')).text).toBe('hello')
  })

  test('counts from the headers of each request, not from the opening of the connection', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.6')
    const client = keepAliveClient(server.url)
    for (let n = 0; n < 4; n++) expect((await client.get('/slow?ms=300')).text).toBe('done')
    client.destroy()
  })

  test('exempts server-sent events and upgraded connections', async (t) => {
    const patience = ['--drain-idle', '0.1', '--drain-upgraded', '0.1']
    const server = await startServer(t, 'streams.js', '--timeout', '0.3', ...patience)
    const events = await RawClient.connect(server.url)
    events.send('GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
    await events.receives(/(data: tick[^]*){8}/)
    const upgraded = await RawClient.connect(server.url)
    upgraded.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    await upgraded.receives(/101 Switching/)
    await events.receives(/(data: tick[^]*){14}/)
    upgraded.send('are you there')
    await upgraded.receives(/are you there$/)
    expect(server.lines.filter(({ event }) => event === 'requestTimeout')).toEqual([])
  })

  test('of 0 never answers 504', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0', '--timeout-header')
    const { text, headers } = await server.get('/slow?ms=1200')
    expect([text, headers['x-timeout']], 'not the default of 30 s either').toEqual(['done', '0'])
  })

  test('answers each request of a pipeline whose turn has come, and then closes', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.4')
    const client = await RawClient.connect(server.url)
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives(/^HTTP\/1\.1 200 OK[^]*helloHTTP\/1\.1 504 /)
    await client.closed()
    expect(client.error).toBeUndefined()
    await timeoutLine(server)
  })

  test('reaches the client even while it still sends its body', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.4')
    const client = await RawClient.connect(server.url)
    client.send('POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n')
    const sending = setInterval(() => client.send('x'.repeat(1_000)), 20)
    await client
      .receives(/^HTTP\/1\.1 504 [^]*Gateway Timeout/)
      .finally(() => clearInterval(sending))
    await client.closed()
    await timeoutLine(server)
  })
})
