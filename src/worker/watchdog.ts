// Where a blocked event loop is noticed: a thread that lives on when the main thread is stuck. It takes the stack, answers the
// clients, tells the master, ends the process; or, if asked to, stops the culprit's code alone. Runs in a worker thread of every
// worker, started by watchdog-host.ts.

import { parentPort, workerData } from 'node:worker_threads'
import { HEAD, INTERRUPTED, STATE, Scoreboard, msBetween, type SlotView } from '../scoreboard.ts'
import { Digests, LISTED, inFlight, named, oldestOf } from './digests.ts'
import { interrupt, testPause, type Verdict } from './interrupt.ts'
import { Inspections } from './inspections.ts'
import { answerAll, type Outcome } from './last-answers.ts'
import { MainSession } from './main-session.ts'
import { MasterPipe } from './master-pipe.ts'
import { comesTrue, sleep } from './sleep.ts'
import { Statistics } from '../statistics.ts'
import { stepToApplication } from './stepping.ts'
import { TRAP, namesApplication, readSight, readStack, trapExpression } from './trap.ts'
import type { Digest, PostMortem, RequestFacts } from '../protocol.ts'

export interface WatchdogData {
  readonly board: SharedArrayBuffer
  readonly trap: SharedArrayBuffer
  readonly statistics: SharedArrayBuffer
  /** Ms; 0: off. */
  readonly stallTimeout: number
  /** With `blocked: 'interrupt'`, if the main thread's part of it works. */
  readonly interrupts: boolean
}

/** How often it looks, ms; without connections there is nobody to answer in time. */
const LOOK_MS = 100
const LOOK_IDLE_MS = 250
/** So long must the loop stand still before anything is concluded from it, ms. */
const STALE_MS = 500
/** The main thread's own sweep gets this long past a deadline, ms. */
const GRACE_MS = 200
/** No answer from the main thread within this means it is in native code, ms. */
const NATIVE_MS = 250
/** How often the stack is looked at until it has a line of the application, before we go and meet it. */
const TRIES = 4
/** The same if stepping is out of the question. */
const SAMPLES = 20
const DIGEST_MS = 1_000
/** An idle loop beats twice a second, and a busy machine may delay that: less than this is no stall, ms. */
const LEAST_STALL_MS = 2_000
/** A look this late means that the machine slept, or swapped: what it says of the main thread is worth nothing, ms. */
const OVERSLEPT_MS = 1_000
/** Code that is to be interrupted must still be there after this, and in several looks from then on, ms. */
const LATE_STAYS_MS = 50
/** If its request is not late itself, only another one is, it must hold the loop for as long as makes one blocked, ms. */
const OTHER_STAYS_MS = STALE_MS
/** So often may the loop, without a turn, go from one request to another; then none of them alone blocks it. */
const MOVES = 3
/** The main thread answers an interrupted request in its next sweep, ms. */
const ANSWER_MS = 1_000

const {
  board: buffer,
  trap,
  statistics: counters,
  stallTimeout,
  interrupts,
} = workerData as WatchdogData
const board = new Scoreboard(buffer)
const digests = new Digests(board, new Statistics(0, counters))
const trapInts = new Int32Array(trap)

/** The master is dead. The main thread leaves by itself if it can; if it is stuck, nobody else would end it. */
const pipe = new MasterPipe(() => setTimeout(() => process.kill(process.pid, 'SIGKILL'), 900))
/** `ending`: for now, it does no other thing to the main thread. `suspended`: the loop stands still for good reasons. */
let state: 'watching' | 'ending' | 'suspended' = 'watching'
let beat = -1
/** When this thread first saw that beat, on its own clock. */
let beatSeenAt = performance.now()
let lookedAt = performance.now()
let toldAt = -Infinity
/** Whether code may be interrupted. */
let power: 'none' | 'in-test' | 'proved' = 'none'
/** The request that was interrupted last. */
let interrupted = 0
let moves = 0
/** Of the last call of the trap. */
let ticket = 0

function look(): void {
  const now = performance.now()
  const overslept = now - lookedAt > OVERSLEPT_MS
  lookedAt = now
  const current = board.head(HEAD.beat)
  const isExcused = overslept || state === 'suspended' || board.head(HEAD.debugged) === 1
  if (current !== beat || isExcused) {
    beat = current
    beatSeenAt = now
    moves = 0
  }
  const stale = now - beatSeenAt
  if (now - toldAt >= DIGEST_MS) pipe.mention(digest(now, stale))
  if (stale < STALE_MS) return next()
  const reason = whyEnd(stale)
  if (reason && power !== 'in-test') void end(reason)
  else next()
}

const next = (): void => void setTimeout(look, board.head(HEAD.used) > 0 ? LOOK_MS : LOOK_IDLE_MS)

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
  state = 'ending'
  await comesTrue(LEAST_STALL_MS, () => !inspections.isAtMain)
  const main = new MainSession()
  // what may be interrupted is left alone by our debugger, for interrupt.ts has one of its own
  let inJavaScript = await trapMain(main, power === 'proved' ? 'sampling' : 'stepping')
  if (turned()) return goOn(main)
  const verdict = inJavaScript ? await tryToInterrupt(reason) : 'unreachable'
  if (verdict === 'interrupted' || (verdict === 'moved' && ++moves < MOVES)) return goOn(main)
  if (inJavaScript && !isHeld()) {
    inJavaScript = await trapMain(main, 'stepping')
    if (turned()) return goOn(main)
  }
  const stale = performance.now() - beatSeenAt
  const clock = mainClock(stale)
  const answered = answerAll(board, clock, inJavaScript ? trapInts[TRAP.request]! : 0)
  await pipe.tell(digest(performance.now(), stale)) // or what it served since the last one would not count
  await pipe.tell({ type: 'post-mortem', ...report(reason, stale, answered, inJavaScript) })
  process.kill(process.pid, 'SIGKILL')
}

const turned = (): boolean => board.head(HEAD.beat) !== beat

function goOn(main: MainSession): void {
  letGo()
  main.leave()
  state = 'watching'
  next()
}

/** The main thread stands in the trap, and is let go for an attempt. */
async function tryToInterrupt(reason: PostMortem['reason']): Promise<Verdict['is']> {
  const seen = readSight(trap)
  const requests = [...board.slots()].map((slot) => ({ slot }))
  const stale = performance.now() - beatSeenAt
  const facts = report(reason, stale, requests, true)
  const { culprit } = facts
  // once for each request: what an interruption did not stop, another one won't
  if (power !== 'proved' || !facts.certain || !culprit || seen.request === interrupted)
    return 'unreachable'
  letGo()
  const late = requests.some(
    ({ slot }) => slot.id === seen.request && isLate(slot, mainClock(stale)),
  )
  const stays = reason === 'stall' || late ? LATE_STAYS_MS : OTHER_STAYS_MS
  const verdict = await interrupt(board, seen, stays)
  if (verdict.is !== 'interrupted') return verdict.is
  interrupted = seen.request
  const seconds = (performance.now() - beatSeenAt) / 1000
  const outcome = await outcomeOf()
  await pipe.tell({
    ...facts,
    type: 'interrupted',
    seconds,
    stack: namesApplication(facts.stack ?? []) ? facts.stack : verdict.stack,
    culprit: { ...culprit, ...(outcome && { outcome }) },
  })
  return verdict.is
}

const OUTCOMES: Readonly<Record<number, RequestFacts['outcome']>> = {
  [INTERRUPTED.answered]: '504',
  [INTERRUPTED.cut]: 'reset',
  [INTERRUPTED.complete]: 'complete',
}

/** What the main thread says that the interrupted request's client got; undefined: nothing yet. */
async function outcomeOf(): Promise<RequestFacts['outcome']> {
  const limit = performance.now() + ANSWER_MS
  while (board.head(HEAD.interrupted) >= 0 && performance.now() < limit) await sleep(5)
  return OUTCOMES[board.head(HEAD.interrupted)]
}

/** Resolves with true when the main thread stands in the trap, with false when it is in native code and can't be reached. */
async function trapMain(main: MainSession, how: 'sampling' | 'stepping'): Promise<boolean> {
  const most = how === 'sampling' ? SAMPLES : TRIES + 1
  for (let tries = 1; await springs(main); tries++) {
    if ((isOfRequest() && isOfApplication()) || tries === most) return true
    // between two microtasks, where V8 looks for interrupts, only node is on the stack, and no request is known
    if (how === 'stepping' && tries === TRIES) await stepToApplication(main, letGo)
    else {
      letGo()
      await sleep(3) // at once, it would be caught where it is
    }
  }
  return false
}

const isOfRequest = (): boolean => trapInts[TRAP.request] !== 0
const isOfApplication = (): boolean => namesApplication(readStack(trap))

/** Whether the main thread went into the trap. */
function springs(main: MainSession): Promise<boolean> {
  main.post('Runtime.evaluate', { expression: trapExpression(++ticket) })
  return comesTrue(NATIVE_MS, isHeld)
}

const isHeld = (): boolean =>
  Atomics.load(trapInts, TRAP.held) === ticket && Atomics.load(trapInts, TRAP.released) < ticket

/** Also a call of the trap that is still on its way. */
const letGo = (): void => void Atomics.store(trapInts, TRAP.released, ticket)

/** A connection, and what was written to it, if anything was. */
interface Seen {
  readonly slot: SlotView
  readonly outcome?: Outcome
}

function report(
  reason: PostMortem['reason'],
  stale: number,
  seen: Seen[],
  inJavaScript: boolean,
): Omit<PostMortem, 'type'> {
  const clock = mainClock(stale)
  const requests = seen.filter(
    ({ slot }) => slot.state !== STATE.idle && slot.state !== STATE.upgraded,
  )
  const sight = inJavaScript ? readSight(trap) : undefined
  const executing = sight?.request ?? 0
  const oldestLate = requests
    .filter(({ slot }) => isLate(slot, clock))
    .sort((a, b) => msBetween(b.slot.startedAt, a.slot.startedAt))[0]
  const culprit = requests.find(({ slot }) => slot.id === executing && executing > 0) ?? oldestLate
  const others = requests.filter((one) => one !== culprit)
  const certain = culprit !== undefined && culprit.slot.id === executing
  return {
    reason,
    seconds: stale / 1000,
    ...(culprit && { culprit: { ...facts(culprit, clock), ...(certain && { id: sight!.id }) } }),
    certain,
    stack: inJavaScript ? readStack(trap) : null,
    neighbours: others.length,
    listed: others.slice(0, LISTED).map((one) => facts(one, clock)),
    rss: process.memoryUsage.rss(),
  }
}

const facts = ({ slot, outcome }: Seen, clock: number): RequestFacts => ({
  ...named(slot, clock),
  ...(outcome && { outcome }),
})

function digest(now: number, stale: number): Digest {
  toldAt = now
  return digests.make(stale, mainClock(stale))
}

const still = (): number => (turned() ? 0 : performance.now() - beatSeenAt)

const inspections = new Inspections(pipe, {
  beat: () => board.head(HEAD.beat),
  still,
  oldest: () => oldestOf(inFlight(board), mainClock(still())),
  request(number) {
    const slot = number > 0 && inFlight(board).find(({ id }) => id === number)
    return slot ? named(slot, mainClock(still())) : undefined
  },
  isBusy: () => state === 'ending',
  suspend: () => void (state = 'suspended'),
  resume() {
    beatSeenAt = performance.now()
    state = 'watching'
  },
})

async function proveInterrupt(): Promise<void> {
  power = 'in-test'
  const problem = await testPause()
  power = problem === undefined ? 'proved' : 'none'
  if (problem !== undefined) parentPort!.postMessage(problem)
}

const proof = interrupts ? proveInterrupt() : Promise.resolve()
next()
void proof.then(() => pipe.listen((question) => void inspections.hear(question)))
