// The main thread's side of a post-mortem: when the watchdog interrupts a blocked main thread, this writes its JavaScript
// stack into shared memory and holds it still, so that nothing moves while the watchdog answers in its stead. Runs in the main thread.

/** Int32 fields of the trap's shared memory. */
export const TRAP = { state: 0, release: 1, id: 2, length: 3 } as const
export const TRAPPED = 1
const FIELDS = 8
const STACK_BYTES = 8_192
const FRAMES = 40
/** Should the watchdog die meanwhile, the main thread goes on after this, ms. */
const HOLD_MS = 3_000

/** How the watchdog reaches it: Runtime.evaluate(`globalThis[Symbol.for('nodicorn.trap')]()`). */
const NAME = 'nodicorn.trap'
export const TRAP_EXPRESSION = `globalThis[Symbol.for('${NAME}')]()`

export const trapMemory = (): SharedArrayBuffer => new SharedArrayBuffer(FIELDS * 4 + STACK_BYTES)

/** `executing` answers the id of the request whose code is on the stack, 0 if unknown. */
export function setTrap(memory: SharedArrayBuffer, executing: () => number): void {
  const ints = new Int32Array(memory)
  const text = Buffer.from(memory, FIELDS * 4)
  Object.defineProperty(globalThis, Symbol.for(NAME), {
    value: () => {
      ints[TRAP.id] = executing()
      ints[TRAP.length] = text.write(currentStack())
      Atomics.store(ints, TRAP.state, TRAPPED)
      Atomics.wait(ints, TRAP.release, 0, HOLD_MS)
      Atomics.store(ints, TRAP.release, 0)
    },
  })
}

/** An application's own Error.prepareStackTrace would run its code, so it is out of the way for a moment; source maps stay. */
function currentStack(): string {
  const { prepareStackTrace, stackTraceLimit } = Error
  delete (Error as { prepareStackTrace?: unknown }).prepareStackTrace
  Error.stackTraceLimit = FRAMES
  const { stack = '' } = new Error()
  Error.stackTraceLimit = stackTraceLimit
  if (prepareStackTrace) Error.prepareStackTrace = prepareStackTrace
  return stack
}

/** The stack as the trap wrote it, without its own frames: `at spin (/srv/app.js:12:3)`. */
export function readStack(memory: SharedArrayBuffer): string[] {
  const length = new Int32Array(memory)[TRAP.length]!
  const lines = Buffer.from(memory, FIELDS * 4, length)
    .toString()
    .split('\n')
    .slice(1)
  const own = lines.findIndex((line) => /<anonymous>:1:\d+\)?$/.test(line)) // of TRAP_EXPRESSION
  return lines.slice(own + 1).map((line) => line.trim())
}

/** Whether one of its lines is not node's own. */
export const namesApplication = (stack: readonly string[]): boolean =>
  stack.some((line) => !/\(node:|^at (async )?node:|<anonymous>\)$/.test(line))
