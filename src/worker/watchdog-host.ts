// Starts the watchdog thread and tells it what it can't see itself. Runs in the main thread of every worker.

import { watchdogEntry } from '../paths.ts'
import { fs } from '../builtin.ts'
import { WATCHDOG_PIPE, type LastCount } from '../protocol.ts'
import { HEAD, type Scoreboard } from '../scoreboard.ts'
import type { Statistics } from '../statistics.ts'
import { fullSight, type Interrupts } from './interruptible.ts'
import { setTrap, trapMemory } from './trap.ts'
import type { WatchdogData } from './watchdog.ts'

/** How often it is asked whether a debugger is attached, ms. */
const DEBUGGER_MS = 1_000
/** The thread needs little: it reads shared memory and writes a few lines. But a CPU profile may have 30 MB, and room costs nothing. */
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 2, stackSizeMb: 2 }

/** `stallTimeout` in seconds, 0 for never. `onFailure`: there is no watchdog, or no longer; the application need not suffer. */
export function startWatchdog(
  board: Scoreboard,
  statistics: Statistics,
  stallTimeout: number,
  interrupts: Interrupts,
  onFailure: (error: Error) => void,
): void {
  const { Worker } = process.getBuiltinModule('node:worker_threads')
  const trap = trapMemory()
  setTrap(trap, fullSight)
  const workerData: WatchdogData = {
    board: board.buffer,
    trap,
    statistics: statistics.buffer,
    stallTimeout: stallTimeout * 1000,
    interrupts: interrupts.arePossible,
  }
  const thread = new Worker(watchdogEntry, {
    workerData,
    // neither the application's flags and preloads nor its variables: nothing of it may run there
    execArgv: [],
    env: {},
    resourceLimits: LIMITS,
    // it closes what the main thread has opened
    trackUnmanagedFds: false,
    // or they would be piped into the application's, whose errors (a reader that left) node then no longer forgives
    stdout: true,
    stderr: true,
    name: 'nodicorn watchdog',
  })
  thread.on('error', onFailure)
  thread.on('message', (problem: string) => interrupts.giveUp(problem))
  thread.unref()
  watchDebugger(board)
  process.on('exit', () => tellLastCount(statistics))
}

/** The thread is gone by now, and what was served since its last word would not count. */
function tellLastCount(statistics: Statistics): void {
  const last: LastCount = { type: 'served', served: statistics.read() }
  try {
    fs.writeSync(WATCHDOG_PIPE, `${JSON.stringify(last)}\n`)
  } catch (error) {
    // EPIPE, ECONNRESET: the master is gone, who would have wanted to know; EBADF: the application closed it
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
  }
}

/** With a debugger attached, standing still is what people want. */
function watchDebugger(board: Scoreboard): void {
  const inspector = process.getBuiltinModule('node:inspector')
  const look = (): void => board.setHead(HEAD.debugged, inspector.url() === undefined ? 0 : 1)
  look()
  setInterval(look, DEBUGGER_MS).unref()
}
