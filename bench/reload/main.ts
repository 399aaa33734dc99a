// What reloads cost clients: closed loops of every kind while the workers are replaced again and again. Prints failed requests
// and reconnects; any failure is exit 1. `npm run bench:reload -- [--node /path/to/node] [--transport tcp,unix,tls,h2] [--nginx]
// [--no-handover] [--reloads 50] [--requests 100000] [--clients 48]`

import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startNginx } from '../../test/helpers/nginx.ts'
import { cli, startServer, type Server } from '../../test/helpers/server.ts'
import { socketPath } from '../../test/helpers/temp.ts'
import { apps } from '../servers.ts'
import { run, type Site } from '../site.ts'
import { Crowd, type Target } from './clients.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    transport: { type: 'string' },
    nginx: { type: 'boolean', default: false },
    'no-handover': { type: 'boolean', default: false },
    reloads: { type: 'string', default: '50' },
    requests: { type: 'string', default: '100000' },
    clients: { type: 'string', default: '48' },
  },
})
const reloads = Number(values.reloads)
const requests = Number(values.requests)
/** There are six kinds of them. */
const each = Math.ceil(Number(values.clients) / 6)

const transports: Readonly<Record<string, { app: string; speaks: Target['speaks'] }>> = {
  tcp: { app: 'http', speaks: 'HTTP/1.1' },
  unix: { app: 'http', speaks: 'HTTP/1.1' },
  tls: { app: 'https', speaks: 'HTTP/1.1' },
  h2: { app: 'http2', speaks: 'HTTP/2' },
}

async function serve(site: Site, transport: string): Promise<Server> {
  const bind = transport === 'unix' ? `unix:${socketPath(site)}` : '127.0.0.1:0'
  // what cannot be handed over is waited for
  const flags = ['--workers', '2', '--drain-idle', '1']
  if (values['no-handover']) flags.push('--no-handover')
  const env = { TRANSPORT: transports[transport]!.app }
  return startServer(site, join(apps, 'reload.cjs'), ...flags, {
    bind,
    env,
    command: [values.node, cli],
  })
}

/** Answers how many requests failed. */
async function measure(site: Site, transport: string): Promise<number> {
  const server = await serve(site, transport)
  const base = values.nginx ? (await startNginx(site, server.url)).url : server.url
  const crowd = new Crowd({ base, speaks: transports[transport]!.speaks }, each)
  site.onTestFinished(() => crowd.stop())
  const descriptors = (): number => readdirSync(`/proc/${server.pid}/fd`).length
  const began = performance.now()
  let before = 0
  for (let done = 0; done < reloads; done++) {
    const from = server.lines.length
    server.signal('SIGHUP')
    await server.log(/^Reload finished/, { from, ms: 60_000 })
    if (done === 1) before = descriptors()
  }
  while (crowd.answered < requests) await sleep(50)
  // connections that are on their way to another worker at this moment are no leak
  for (let wait = 0; wait < 100 && descriptors() > before; wait++) await sleep(50)
  const after = descriptors()
  await crowd.stop()
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  const how = `${transport}${values.nginx ? ' behind nginx' : ''}${values['no-handover'] ? ', hand-over off' : ''}`
  console.log(
    `${how}: ${reloads} reloads, ${crowd.answered} answers in ${seconds} s; master's descriptors ${before} -> ${after}`,
  )
  return report(crowd)
}

function report({ tallies }: Crowd): number {
  for (const { habit, answered, failed, reconnects, errors } of tallies) {
    const list = [...errors].map(([error, n]) => `${n} x ${error}`).join(', ')
    console.log(
      `  ${habit.padEnd(15)} ${String(answered).padStart(7)} answered, ${failed} failed, ${reconnects} reconnects ${list}`,
    )
  }
  return tallies.reduce((sum, { failed }) => sum + failed, 0)
}

await run(async (site) => {
  const version = execFileSync(values.node, ['--version'], { encoding: 'utf8' }).trim()
  console.log(`Node ${version}, 2 workers, ${each * 6} clients`)
  const names = (values.transport ?? (values.nginx ? 'tcp,unix' : 'tcp,unix,tls,h2')).split(',')
  let failed = 0
  for (const name of names) failed += await site.part((part) => measure(part, name))
  return failed > 0 ? 1 : 0
})
