// Where a blocked event loop is noticed: a thread that lives on when the main thread is stuck. It takes the stack, answers the
// clients, tells the master, ends the process. Runs in a worker thread of every worker, started by watchdog-host.ts.

import { Session, type Debugger } from 'node:inspector'
import { workerData } from 'node:worker_threads'
import { fs } from '../builtin.ts'
import { HEAD, STATE, Scoreboard, msBetween, type SlotView } from '../scoreboard.ts'
import { answerAll, type Answered } from './last-answers.ts'
import { TRAP, TRAPPED, TRAP_EXPRESSION, namesApplication, readStack } from './trap.ts'
import { WATCHDOG_PIPE, type Digest, type PostMortem, type RequestFacts } from '../protocol.ts'

export interface WatchdogData {
  readonly board: SharedArrayBuffer
  readonly trap: SharedArrayBuffer
  /** Ms; 0: off. */
  readonly stallTimeout: number
}

/** How often it looks, ms. */
const LOOK_MS = 100
/** So long must the loop stand still before anything is concluded from it, ms. */
const STALE_MS = 500
/** The main thread's own sweep gets this long past a deadline, ms. */
const GRACE_MS = 200
/** No answer from the main thread within this means it is in native code, ms. */
const NATIVE_MS = 250
/** How often the stack is looked at until it has a line of the application, before we go and meet it. */
const TRIES = 4
/** A turn of node's own code between two microtasks is some 60 statements, each of a millisecond or less. */
const STEPPING_MS = 1_000
const DIGEST_MS = 1_000
/** An idle loop beats twice a second, and a busy machine may delay that: less than this is no stall, ms. */
const LEAST_STALL_MS = 2_000
/** A look this late means that the machine slept, or swapped: what it says of the main thread is worth nothing, ms. */
const OVERSLEPT_MS = 1_000
const LISTED = 20

const { board: buffer, trap, stallTimeout } = workerData as WatchdogData
const board = new Scoreboard(buffer)
const trapInts = new Int32Array(trap)

let beat = -1
/** When this thread first saw that beat, on its own clock. */
let beatSeenAt = performance.now()
let lookedAt = performance.now()
let toldAt = -Infinity

function look(): void {
  const now = performance.now()
  const overslept = now - lookedAt > OVERSLEPT_MS
  lookedAt = now
  const current = board.head(HEAD.beat)
  if (current !== beat || overslept || board.head(HEAD.debugged) === 1) {
    beat = current
    beatSeenAt = now
  }
  const stale = now - beatSeenAt
  if (now - toldAt >= DIGEST_MS) tell(digest(now, stale))
  if (stale < STALE_MS) return next()
  const reason = whyEnd(stale)
  if (reason) void end(reason)
  else next()
}

const next = (): void => void setTimeout(look, LOOK_MS)

/** The main thread's clock, reckoned on from its last beat. */
const mainClock = (stale: number): number => board.head(HEAD.now) + stale

function whyEnd(stale: number): PostMortem['reason'] | undefined {
  const clock = mainClock(stale) - GRACE_MS
  for (const slot of board.slots()) if (isLate(slot, clock)) return 'timeout'
  return stallTimeout > 0 && stale > Math.max(stallTimeout, LEAST_STALL_MS) ? 'stall' : undefined
}

const isLate = (slot: SlotView, clock: number): boolean =>
  (slot.state === STATE.inFlight || slot.state === STATE.begun) &&
  slot.deadline !== 0 &&
  msBetween(slot.deadline, clock) >= 0

async function end(reason: PostMortem['reason']): Promise<void> {
  const session = new Session()
  const inJavaScript = await trapMain(session)
  if (board.head(HEAD.beat) !== beat) {
    // it turned after all, between our look and the trap
    letGo()
    session.disconnect() // or the process could not exit
    return next()
  }
  const stale = performance.now() - beatSeenAt
  const clock = mainClock(stale)
  const answered = answerAll(board, clock, inJavaScript ? trapInts[TRAP.id]! : 0)
  tell(report(reason, stale, clock, answered, inJavaScript))
  process.kill(process.pid, 'SIGKILL')
}

/** Resolves with true when the main thread stands in the trap, with false when it is in native code and can't be reached. */
async function trapMain(session: Session): Promise<boolean> {
  session.connectToMainThread()
  for (let tries = 1; await springs(session); tries++) {
    if ((isOfRequest() && isOfApplication()) || tries > TRIES) return true
    // between two microtasks, where V8 looks for interrupts, only node is on the stack, and no request is known
    if (tries < TRIES) letGo()
    else await stepToApplication(session)
  }
  return false
}

const isOfRequest = (): boolean => trapInts[TRAP.id] !== 0
const isOfApplication = (): boolean => namesApplication(readStack(trap))

/** Lets the main thread go on, statement by statement. Node's own can't be skipped: no blackbox works for what came out of its snapshot (measured on 20 and 22). */
async function stepToApplication(session: Session): Promise<void> {
  const ofApplication = new Set<string>()
  session.on('Debugger.scriptParsed', ({ params: { scriptId, url } }) => {
    if (url !== '' && !url.startsWith('node:')) ofApplication.add(scriptId)
  })
  let isThere = false
  const paused = ({ params }: { params: Debugger.PausedEventDataType }): void => {
    isThere = params.callFrames.some(({ location }) => ofApplication.has(location.scriptId))
    if (!isThere) session.post('Debugger.stepInto')
  }
  session.on('Debugger.paused', paused)
  session.post('Debugger.enable')
  session.post('Debugger.pause')
  letGo()
  await within(STEPPING_MS, () => isThere)
  session.off('Debugger.paused', paused)
}

/** Whether the main thread went into the trap. */
function springs(session: Session): Promise<boolean> {
  session.post('Runtime.evaluate', { expression: TRAP_EXPRESSION })
  return within(NATIVE_MS, () => Atomics.load(trapInts, TRAP.state) === TRAPPED)
}

/** Whether it came true in time; what it waits for is also what keeps this thread alive. */
function within(ms: number, isTrue: () => boolean): Promise<boolean> {
  const limit = performance.now() + ms
  return new Promise((resolve) => {
    const poll = (): void => {
      if (isTrue()) resolve(true)
      else if (performance.now() > limit) resolve(false)
      else setTimeout(poll, 1)
    }
    poll()
  })
}

function letGo(): void {
  Atomics.store(trapInts, TRAP.state, 0)
  Atomics.store(trapInts, TRAP.release, 1)
  Atomics.notify(trapInts, TRAP.release)
}

function report(
  reason: PostMortem['reason'],
  stale: number,
  clock: number,
  answered: Answered[],
  inJavaScript: boolean,
): PostMortem {
  const requests = answered.filter(
    ({ slot }) => slot.state !== STATE.idle && slot.state !== STATE.upgraded,
  )
  const executing = inJavaScript ? trapInts[TRAP.id]! : 0
  const oldestLate = requests
    .filter(({ slot }) => isLate(slot, clock))
    .sort((a, b) => msBetween(b.slot.startedAt, a.slot.startedAt))[0]
  const culprit = requests.find(({ slot }) => slot.id === executing && executing > 0) ?? oldestLate
  const others = requests.filter((one) => one !== culprit)
  return {
    type: 'post-mortem',
    reason,
    seconds: stale / 1000,
    ...(culprit && { culprit: facts(culprit, clock) }),
    certain: culprit !== undefined && culprit.slot.id === executing,
    stack: inJavaScript ? readStack(trap) : null,
    neighbours: others.length,
    listed: others.slice(0, LISTED).map((one) => facts(one, clock)),
    rss: rss(),
  }
}

const facts = ({ slot, outcome }: Answered, clock: number): RequestFacts => ({
  ...named(slot, clock),
  outcome,
})

function named(slot: SlotView, clock: number): RequestFacts {
  const [method = '', url = ''] = slot.text.split(' ')
  return { method, url, age: msBetween(slot.startedAt, clock) / 1000 }
}

function digest(now: number, stale: number): Digest {
  toldAt = now
  const clock = mainClock(stale)
  const busy = [...board.slots()].filter(
    ({ state }) => state === STATE.inFlight || state === STATE.begun,
  )
  const oldest = busy.sort((a, b) => msBetween(b.startedAt, a.startedAt)).slice(0, LISTED)
  return {
    type: 'digest',
    stale: stale / 1000,
    inFlight: busy.length,
    connections: board.head(HEAD.used),
    timeouts: board.head(HEAD.timeouts),
    orphans: board.head(HEAD.orphans),
    untracked: board.head(HEAD.overflow),
    oldest: oldest.map((slot) => named(slot, clock)),
  }
}

const rss = (): number => process.memoryUsage.rss()

function tell(message: Digest | PostMortem): void {
  try {
    fs.writeSync(WATCHDOG_PIPE, `${JSON.stringify(message)}\n`)
  } catch (error) {
    // EPIPE: the master is dead. The main thread leaves by itself if it can; if it is stuck, nobody else would end it
    if ((error as NodeJS.ErrnoException).code === 'EPIPE')
      setTimeout(() => process.kill(process.pid, 'SIGKILL'), 900)
    else if ((error as NodeJS.ErrnoException).code === undefined) throw error
  }
}

next()
