// Stops the JavaScript of one request and nothing else: its worker lives, answers it and lets the others finish.
// Runs in the watchdog thread, on a main thread that is blocked, only with `blocked: 'interrupt'`.

import { HEAD, type Scoreboard } from '../scoreboard.ts'
import { isInspectors } from './main-session.ts'
import { MainThread, type Look, type Stand } from './main-thread.ts'
import { sleep } from './sleep.ts'
import type { Sight } from './trap.ts'

/** All of an attempt, ms. */
const ATTEMPT_MS = 2_500
/** A main thread in JavaScript pauses within 20 ms; with thousands of scripts, or a busy machine, later, ms. */
const PAUSE_MS = 1_500
/** A main thread that idles pauses when its next timer runs; one that boots is busy, ms. */
const TEST_MS = 5_000
/** So many looks must find the same request, this far apart, ms. */
const LOOKS = 8
const AGAIN_MS = 5
/** Looks that find it between two callbacks do not count, and are not many. */
const TRIES = 40
/** The next statement comes sooner, if it comes, ms. */
const STEP_MS = 100
/** Node's own code between two microtasks is some 60 statements. */
const STEPS = 300

/**
 * moved: the main thread went on to something else. unreachable: it is in native code, or cannot be stopped safely;
 * what it is at is unknown then.
 */
export type Verdict =
  | { readonly is: 'interrupted'; readonly stack: readonly string[] }
  | { readonly is: 'moved' | 'unreachable' }

/** Resolves with why the main thread can't be paused, undefined if it can. Hurts nothing that runs in it. */
export async function testPause(): Promise<string | undefined> {
  const late = `the inspector did not pause the main thread within ${TEST_MS / 1000} s`
  const main = new MainThread()
  try {
    const stand = await Promise.race([main.halt('pause', TEST_MS), sleep(TEST_MS, undefined)])
    if (!stand) return late
    return stand.sight ? undefined : 'the inspector does not see what is running'
  } catch (error) {
    if (isInspectors(error)) return error.message
    throw error
  } finally {
    main.leave()
  }
}

/** `seen`: the culprit, as it was seen `afterMs` before the first of our looks. */
export async function interrupt(board: Scoreboard, seen: Sight, afterMs: number): Promise<Verdict> {
  await sleep(afterMs)
  const main = new MainThread()
  try {
    const late = sleep(ATTEMPT_MS, { is: 'unreachable' } as const)
    return await Promise.race([attempt(main, board, seen), late])
  } catch (error) {
    if (isInspectors(error)) return { is: 'unreachable' }
    throw error
  } finally {
    main.leave()
  }
}

async function attempt(main: MainThread, board: Scoreboard, seen: Sight): Promise<Verdict> {
  const place = await findPlace(main, seen)
  if ('is' in place) return place
  const stack = await main.stack()
  await main.end(place, () => board.setHead(HEAD.interrupted, seen.request))
  return { is: 'interrupted', stack }
}

/**
 * Only where the same request is found again and again in the same turn of the loop: all else would hurt the innocent.
 * The debugger comes last, for with it a loop without calls looks but rarely (before Node 24) whether it is wanted.
 */
async function findPlace(main: MainThread, seen: Sight): Promise<Stand | Verdict> {
  let makesPromises = false
  for (let tries = 0, looks = 0; looks < LOOKS; tries++) {
    const look = await main.look()
    if (hasMoved(look, seen)) return { is: 'moved' }
    if (look.sight.request === seen.request) looks++
    else if (tries > TRIES) return { is: 'unreachable' }
    makesPromises ||= look.inHook
    await sleep(AGAIN_MS)
  }
  const stand = await main.halt('pause', PAUSE_MS)
  if (!stand) return { is: 'unreachable' }
  if (hasMoved(stand, seen)) return { is: 'moved' }
  return isPlace(stand, seen) && !makesPromises ? stand : stepToPlace(main, seen, stand)
}

/**
 * After a pause, the exception comes only with the next call. If that is one of node's hooks on promises, V8 takes it for the
 * hook's own, and the process dies of reporting it. At a statement, it comes there and then.
 */
async function stepToPlace(main: MainThread, seen: Sight, first: Stand): Promise<Stand | Verdict> {
  let stand: Stand | undefined = first
  for (let steps = 0; steps < STEPS; steps++) {
    stand = await main.halt(stand.inHook ? 'stepOut' : 'stepInto', STEP_MS)
    stand ??= await main.halt('pause', PAUSE_MS)
    if (!stand) break
    if (hasMoved(stand, seen)) return { is: 'moved' }
    if (isPlace(stand, seen)) return stand
  }
  return { is: 'unreachable' }
}

/** In another turn of the loop, or at another request. Between two callbacks of a request there is none. */
const hasMoved = ({ sight }: Look, seen: Sight): boolean =>
  sight.loop !== seen.loop || (sight.request !== 0 && sight.request !== seen.request)

const isPlace = ({ sight, inApplication, inHook }: Stand, seen: Sight): boolean =>
  sight.request === seen.request && inApplication && !inHook
