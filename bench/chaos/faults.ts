// What can go wrong, and what an operator does: each as one step of the soak, with what it may cost.

import { execFileSync } from 'node:child_process'
import { existsSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, openFiles, signalIfThere } from '../../test/helpers/process.ts'
import { until } from '../../test/helpers/until.ts'
import { exchange, type Outcome } from '../soak/exchange.ts'
import type { Random } from '../soak/random.ts'
import { TIMEOUT_MS, type Subject } from './subject.ts'

export interface Fault {
  /** In each round. */
  readonly times: number
  /** `all`: no request is lost and no ready worker is missing; `requests`: workers may be missing for a while; `nothing`: both may. */
  readonly keeps: 'all' | 'requests' | 'nothing'
  /** Throws if the server does not do what it must; answers what was done, for the report. */
  run(subject: Subject, random: Random): Promise<string>
  /** Why it can't be done here. */
  skip?(subject: Subject): string | undefined
}

/** Longer than any request has. */
const PATIENCE_MS = 12_000
const BLOCKS = { loop: 1, await: 1, timer: 1, regex: 1, native: 1 }
const MODES = { one: 3, all: 1 }
const DAY = 86_400
/** A piece that takes no time to fill. */
const LEAK_MB = 40

const ask = (subject: Subject, path: string): Promise<Outcome> =>
  exchange(subject.port, { path, agent: false, patience: PATIENCE_MS })

/** Throws unless the condition holds. */
function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}

/** One that is ready. */
function victim(subject: Subject, random: Random): number {
  const ready = subject.ready().sort((a, b) => a - b)
  return ready[random.between(0, ready.length - 1)]!
}

const gone = (pid: number, ms = 15_000): Promise<unknown> =>
  until(`process ${pid} is gone`, () => !isAlive(pid), ms)

/** A command that must end well. */
async function order(subject: Subject, ...words: string[]): Promise<string> {
  const { code, stderr } = await subject.command(...words)
  must(code === 0, `supervisor ${words.join(' ')} ended with ${code}: ${stderr}`)
  return words.join(' ')
}

/** USR2, until a new master is in charge and the old one gone; or, with `event`, until that is said. */
async function upgrade(subject: Subject, event = 'upgraded'): Promise<string> {
  const from = subject.server.lines.length
  const { master } = subject
  process.kill(master, 'SIGUSR2')
  const line = await subject.event(event, from, 30_000)
  if (event === 'upgraded') await gone(master)
  return line.msg
}

/** So many file descriptors and no more, while `work` runs. */
async function withFewFiles<T>(pid: number, limit: number, work: () => Promise<T>): Promise<T> {
  const set = (value: string): unknown =>
    isAlive(pid) && execFileSync('prlimit', ['--pid', String(pid), `--nofile=${value}`])
  const before = execFileSync(
    'prlimit',
    ['--pid', String(pid), '--nofile', '--noheadings', '--output', 'SOFT,HARD'],
    { encoding: 'utf8' },
  )
  const [soft, hard] = before.trim().split(/\s+/)
  set(`${limit}:${hard}`)
  try {
    return await work()
  } finally {
    set(`${soft}:${hard}`)
  }
}

const hasPrlimit = (): string | undefined =>
  existsSync('/usr/bin/prlimit') ? undefined : 'there is no prlimit (util-linux)'

export const faults: Readonly<Record<string, Fault>> = {
  reload: {
    times: 2,
    keeps: 'all',
    run: (subject) => order(subject, 'reload', '--wait'),
  },
  reloadsAtOnce: {
    times: 1,
    keeps: 'all',
    async run(subject, random) {
      const from = subject.server.lines.length
      const times = random.between(2, 5)
      for (let n = 0; n < times; n++) {
        process.kill(subject.master, 'SIGHUP')
        await sleep(random.between(0, 150))
      }
      await subject.event('reloaded', from)
      return `${times} times HUP`
    },
  },
  scale: {
    times: 2,
    keeps: 'all',
    async run(subject, random) {
      const before = subject.target
      const wanted = 2 + ((before - 2 + random.between(1, 2)) % 3)
      const said = await order(subject, 'scale', String(wanted))
      await until(`there are to be ${wanted} workers`, () => subject.target === wanted)
      return `${before} workers, ${said}`
    },
  },
  recycle: {
    times: 2,
    keeps: 'all',
    async run(subject, random) {
      const from = subject.server.lines.length
      const { workers } = await subject.status()
      const slots = workers.map(({ slot }) => String(slot))
      const which =
        random.pick(MODES) === 'all' ? '--all' : slots[random.between(0, slots.length - 1)]!
      const said = await order(subject, 'recycle', which)
      await subject.event('workerExited', from)
      return said
    },
  },
  upgrade: {
    times: 1,
    keeps: 'all',
    run: (subject) => upgrade(subject),
  },
  newMasterKilled: {
    times: 1,
    keeps: 'all',
    async run(subject, random) {
      const from = subject.server.lines.length
      const { master } = subject
      process.kill(master, 'SIGUSR2')
      const { pid } = await subject.event('starting', from)
      await sleep(random.between(0, 300))
      const isInCharge = subject.server.lines
        .slice(from)
        .some(({ event }) => event === 'upgraded' || event === 'tookOver')
      if (isInCharge) {
        await gone(master)
        return 'too late to kill the new master'
      }
      process.kill(pid, 'SIGKILL')
      await subject.event('upgradeFailed', from)
      return 'the old master went on'
    },
  },
  brokenDeploy: {
    times: 2,
    keeps: 'all',
    async run(subject, random) {
      subject.deploy('broken')
      const isUpgrade = random.next() < 0.4
      if (isUpgrade) await upgrade(subject, 'upgradeFailed')
      else {
        const { code, stderr } = await subject.command('reload', '--wait')
        must(code === 1, `a reload of broken code ended with ${code}: ${stderr}`)
      }
      subject.deploy('good')
      return `${isUpgrade ? 'upgrade' : 'reload'} refused, mended, ${await order(subject, 'reload', '--wait')}`
    },
  },
  hang: {
    times: 1,
    keeps: 'all',
    async run(subject, random) {
      const count = random.between(1, 5)
      const all = await Promise.all(Array.from({ length: count }, () => ask(subject, '/hang')))
      for (const { status, error } of all)
        must(status === 504, `a handler that hangs: ${status ?? error} instead of 504`)
      const slowest = Math.max(...all.map(({ startedAt, endedAt }) => endedAt - startedAt))
      must(slowest < TIMEOUT_MS + 2_000, `a 504 after ${slowest} ms`)
      return `${count} times 504, the last after ${slowest} ms`
    },
  },
  leak: {
    times: 1,
    keeps: 'all',
    async run(subject) {
      const from = subject.server.lines.length
      const isSeen = (): boolean =>
        subject.server.lines.slice(from).some(({ event }) => event === 'recycling')
      let times = 0
      for (; times < 60 && !isSeen(); times++) {
        const { status } = await ask(subject, `/leak?mb=${LEAK_MB}`)
        must(status === 200, `the leak was answered ${status}`)
        await sleep(100)
      }
      const { worker } = await subject.event('recycling', from)
      await gone(worker as number)
      return `recycled after ${times * LEAK_MB} MB`
    },
  },
  logDiskFull: {
    times: 1,
    keeps: 'all',
    async run(subject, random) {
      const from = subject.server.lines.length
      const aside = `${subject.accessLog}.1`
      renameSync(subject.accessLog, aside)
      symlinkSync('/dev/full', subject.accessLog)
      await subject.event('accessLogFails', from)
      await sleep(random.between(0, 1_000))
      rmSync(subject.accessLog)
      await until('there is a new access log', () => existsSync(subject.accessLog))
      rmSync(aside)
      return 'said so, and went on'
    },
  },
  clockJump: {
    times: 2,
    keeps: 'all',
    skip: ({ hasFakeClock }) => (hasFakeClock ? undefined : 'there is no libfaketime'),
    async run(subject, random) {
      const offset = random.between(-30 * DAY, 30 * DAY)
      subject.setClock(offset)
      await sleep(2_500)
      return `${offset} s from the true time`
    },
  },
  exception: {
    times: 2,
    keeps: 'requests',
    async run(subject) {
      const from = subject.server.lines.length
      const { status, error } = await ask(subject, '/throw')
      must(status === 500, `an error that nobody caught: ${status ?? error} instead of 500`)
      const { worker } = await subject.event('uncaught', from)
      await gone(worker as number)
      return 'answered 500'
    },
  },
  stoppedBriefly: {
    times: 1,
    keeps: 'nothing',
    async run(subject, random) {
      const pid = victim(subject, random)
      const ms = random.between(100, 1_200)
      process.kill(pid, 'SIGSTOP')
      await sleep(ms)
      signalIfThere(pid, 'SIGCONT')
      return `for ${ms} ms`
    },
  },
  stoppedForGood: {
    times: 1,
    keeps: 'nothing',
    async run(subject, random) {
      const pid = victim(subject, random)
      const from = performance.now()
      process.kill(pid, 'SIGSTOP')
      await gone(pid)
      return `killed after ${Math.round(performance.now() - from)} ms`
    },
  },
  kill: {
    times: 3,
    keeps: 'nothing',
    async run(subject, random) {
      const pid = victim(subject, random)
      process.kill(pid, 'SIGKILL')
      await gone(pid)
      return 'one worker'
    },
  },
  killAll: {
    times: 1,
    keeps: 'nothing',
    async run(subject) {
      const all = subject.ready()
      for (const pid of all) signalIfThere(pid, 'SIGKILL')
      for (const pid of all) await gone(pid)
      return `${all.length} workers`
    },
  },
  killWhileReloading: {
    times: 1,
    keeps: 'nothing',
    async run(subject, random) {
      const from = subject.server.lines.length
      process.kill(subject.master, 'SIGHUP')
      await sleep(random.between(0, 400))
      signalIfThere(victim(subject, random), 'SIGKILL')
      const ended = (): boolean =>
        subject.server.lines.slice(from).some(({ event }) => /^reload(ed|Failed)$/.test(event))
      await until('the reload has ended', ended)
      return 'the reload ended'
    },
  },
  block: {
    times: 3,
    keeps: 'nothing',
    async run(subject, random) {
      const from = subject.server.lines.length
      const how = random.pick(BLOCKS)
      const { status, error } = await ask(subject, `/block/${how}`)
      await subject.event('workerTimeout', from)
      must(error !== 'hung', `the client of a blocked loop (${how}) got nothing`)
      return `${how}: ${status ?? error}`
    },
  },
  exit: {
    times: 2,
    keeps: 'nothing',
    async run(subject, random) {
      const code = random.next() < 0.5 ? 3 : random.between(0, 255)
      const from = subject.server.lines.length
      await ask(subject, `/exit?code=${code}`)
      const isEnd = /^worker(Crashed|Exited)$/
      const ended = (): boolean =>
        subject.server.lines.slice(from).some(({ event }) => isEnd.test(event))
      await until('its end is told', ended)
      return `with code ${code}`
    },
  },
  fewFilesInWorker: {
    times: 1,
    keeps: 'nothing',
    skip: hasPrlimit,
    async run(subject, random) {
      const pid = victim(subject, random)
      const ends = await withFewFiles(pid, openFiles(pid) + random.between(0, 2), async () => {
        const burst = Array.from({ length: 40 }, () => ask(subject, '/wait?id=1&ms=500'))
        return await Promise.all(burst)
      })
      must(!ends.some(({ error }) => error === 'hung'), 'a client of the burst got nothing')
      return `${ends.filter(({ status }) => status === 200).length} of 40 were served`
    },
  },
  fewFilesInMaster: {
    times: 1,
    keeps: 'nothing',
    skip: hasPrlimit,
    async run(subject, random) {
      const { master } = subject
      await withFewFiles(master, openFiles(master) + random.between(-2, 2), async () => {
        const pid = victim(subject, random)
        process.kill(pid, 'SIGKILL')
        await gone(pid)
        await sleep(random.between(200, 1_500))
      })
      return 'while a worker was killed'
    },
  },
}

/** Every fault as often as it says, in an order of its own for each round. */
export function deck(random: Random): string[] {
  const cards = Object.entries(faults).flatMap(([name, { times }]) =>
    Array.from({ length: times }, () => name),
  )
  for (let n = cards.length - 1; n > 0; n--) {
    const other = random.between(0, n)
    ;[cards[n], cards[other]] = [cards[other]!, cards[n]!]
  }
  return cards
}
