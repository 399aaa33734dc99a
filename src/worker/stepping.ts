// Lets the main thread go on, statement by statement, until the application is on its stack: between two microtasks, where V8 looks
// for interrupts, only node is. Runs in the watchdog thread.

import type { Debugger } from 'node:inspector'
import type { MainSession } from './main-session.ts'
import { comesTrue } from './sleep.ts'

/** A turn of node's own code between two microtasks is some 60 statements, each of a millisecond or less. */
const STEPPING_MS = 1_000

/**
 * Resolves when the application is on the stack, and the main thread stands still until Debugger.disable, or after a second.
 * Node's own code can't be skipped: no blackbox works for what came out of its snapshot (measured on 20 and 22). `letGo` is
 * called when the debugger waits for the main thread to move.
 */
export async function stepToApplication(main: MainSession, letGo = (): void => {}): Promise<void> {
  const ofApplication = new Set<string>()
  main.on<Debugger.ScriptParsedEventDataType>('Debugger.scriptParsed', ({ scriptId, url }) => {
    if (url !== '' && !url.startsWith('node:')) ofApplication.add(scriptId)
  })
  let state: 'stepping' | 'there' | 'over' = 'stepping'
  main.on<Debugger.PausedEventDataType>('Debugger.paused', ({ callFrames }) => {
    if (state === 'over') return
    state = callFrames.some(({ location }) => ofApplication.has(location.scriptId))
      ? 'there'
      : 'stepping'
    if (state === 'stepping') main.post('Debugger.stepInto')
  })
  main.post('Debugger.enable')
  main.post('Debugger.pause')
  letGo()
  await comesTrue(STEPPING_MS, () => state === 'there')
  state = 'over'
}
