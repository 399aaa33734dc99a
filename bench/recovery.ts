// How long a server with one worker is without an answer when that is killed, with a standby and without, against the time the
// app itself takes to boot, in the same run. `npm run bench:recovery -- [--node /path/to/node] [--rounds 9] [--json]`

import { spawn } from 'node:child_process'
import http from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { signalIfThere } from '../test/helpers/process.ts'
import { machine, median, Report, spread } from './report.ts'
import { apps, start, type Started } from './servers.ts'
import { run, type Site } from './site.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    rounds: { type: 'string', default: '9' },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const APP = 'frameworks'
/** From SIGKILL to the first 200, ms. */
const STANDBY_MS = 60
/** Times the app's own boot. */
const COLD_RATIO = 1.2
/** Crashes that follow each other sooner would count as one in a row, and wait. */
const FLAGS = ['--workers', '1', '--log-format', 'json', '--stable-after', '0']

/** The pid of who answers; undefined while nobody does. */
const ask = (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const request = http.get({ port, host: '127.0.0.1', agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(response.statusCode === 200 ? Number(text) : undefined))
      response.on('error', () => resolve(undefined)) // ECONNRESET: whoever answered was killed
    })
    request.on('error', () => resolve(undefined)) // ECONNREFUSED, ECONNRESET: not yet, not any more
  })

/** The first answer of somebody else than `victim`, ms after `began`. */
async function answered(port: number, began: number, victim?: number): Promise<number> {
  for (;;) {
    const pid = await ask(port)
    if (pid !== undefined && pid !== victim) return performance.now() - began
    await sleep(1)
  }
}

/** `node app.cjs`, from the spawn to its first 200. */
async function ownBoot(site: Site, port: number): Promise<number> {
  return site.part(async (part) => {
    const env = { ...process.env, PORT: String(port) }
    const began = performance.now()
    const child = spawn(values.node, [join(apps, `${APP}.cjs`)], { env, stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    part.onTestFinished(async () => {
      signalIfThere(child.pid!, 'SIGKILL')
      await ended
    })
    return answered(port, began)
  })
}

async function recovery({ port }: Started): Promise<number> {
  const victim = (await ask(port))!
  const began = performance.now()
  process.kill(victim, 'SIGKILL')
  return answered(port, began, victim)
}

const times = (server: Started, event: string): number =>
  server.log().split(`"event":"${event}"`).length - 1

/** What follows an end is over: the standby behind the promoted one has booted, the machine is at rest. */
async function settled(server: Started, event: string, count: number): Promise<void> {
  while (times(server, event) < count) await sleep(10)
  await sleep(300)
}

async function measure(site: Site): Promise<number> {
  const report = new Report(values.json)
  report.begin('recovery from SIGKILL of the only worker')
  const options = { app: APP, flags: FLAGS }
  const cold = await start(site, 'ours', values.node, options)
  const warm = await start(site, 'ours', values.node, {
    ...options,
    flags: [...FLAGS, '--standby', '1'],
  })
  const [own, without, withOne]: [number[], number[], number[]] = [[], [], []]
  for (let n = 1; n <= rounds; n++) {
    own.push(await ownBoot(site, cold.port + 5_000))
    await settled(cold, 'workerReady', n)
    without.push(await recovery(cold))
    await settled(warm, 'standbyReady', n)
    withOne.push(await recovery(warm))
  }
  const part = 'recovery'
  report.add({ part, what: "the app's own boot", seen: spread(own, 'ms', 0), data: own })
  const ratio = median(without) / median(own)
  report.add({
    part,
    what: 'without a standby',
    bound: `at most ${COLD_RATIO} boots`,
    seen: `${spread(without, 'ms', 0)}, ${ratio.toFixed(2)} boots`,
    isMet: ratio <= COLD_RATIO,
    data: without,
  })
  report.add({
    part,
    what: 'with a standby',
    bound: `under ${STANDBY_MS} ms`,
    seen: spread(withOne, 'ms', 0),
    isMet: median(withOne) < STANDBY_MS,
    data: withOne,
  })
  report.end(machine(values.node))
  return 0
}

await run(measure)
