// The main thread's side of a post-mortem: when the watchdog interrupts a blocked main thread, this writes its JavaScript
// stack into shared memory and holds it still, so that nothing moves while the watchdog answers in its stead. Runs in the main thread.

/** Int32 fields of the trap's shared memory. `held` and `released` are tickets: of the call that stands in it, and of the last one let go. */
export const TRAP = { held: 0, released: 1, request: 2, length: 3, loop: 4 } as const
const FIELDS = 8
const STACK_BYTES = 8_192
const FRAMES = 40
/** Should the watchdog die meanwhile, the main thread goes on after this, ms. */
const HOLD_MS = 3_000

/** How the watchdog reaches it: Runtime.evaluate(`globalThis[Symbol.for('nodicorn.trap')](1)`). */
const NAME = 'nodicorn.trap'
export const trapExpression = (ticket: number): string =>
  `globalThis[Symbol.for('${NAME}')](${ticket})`
/** A Glance. Holds nothing still. */
export const GLANCE_EXPRESSION = `globalThis[Symbol.for('${NAME}')].glance()`

/** The same for what interruptible.ts offers: a Sight, the stack as text, and forgetting the stack of async ids. */
export const HOLDER_NAME = 'nodicorn.interrupt'
export const HOLDER_EXPRESSION = `globalThis[Symbol.for('${HOLDER_NAME}')]`
export const SIGHT_EXPRESSION = `${HOLDER_EXPRESSION}.sight()`
export const STACK_EXPRESSION = `${HOLDER_EXPRESSION}.stack()`
export const CLEAR_EXPRESSION = `${HOLDER_EXPRESSION}.clear()`

export const trapMemory = (): SharedArrayBuffer => new SharedArrayBuffer(FIELDS * 4 + STACK_BYTES)

/** What is running: a turn of the loop, and the request that it is at. */
export interface Sight {
  readonly loop: number
  /** The request's number on the scoreboard; 0: none, or unknown. */
  readonly request: number
}

/** What is running, and its stack as text. */
export interface Glance extends Sight {
  readonly id: string
  readonly stack: string
}

/** `look` answers whose code is on the stack, and that request's id, '' if unknown. */
export function setTrap(
  memory: SharedArrayBuffer,
  look: () => Sight & { readonly id: string },
): void {
  const ints = new Int32Array(memory)
  const text = Buffer.from(memory, FIELDS * 4)
  const hold = (ticket: number): void => {
    const isReleased = (): boolean => Atomics.load(ints, TRAP.released) >= ticket
    if (isReleased()) return // it comes too late: the watchdog went on
    const { loop, request, id } = look()
    ints[TRAP.loop] = loop
    ints[TRAP.request] = request
    ints[TRAP.length] = text.write(`${id}\n${currentStack()}`)
    Atomics.store(ints, TRAP.held, ticket)
    // not by Atomics.wait(): if that is where it was interrupted, the inner wait ends the outer one, or node (20)
    const limit = performance.now() + HOLD_MS
    while (!isReleased() && performance.now() < limit);
  }
  const glance = (): Glance => ({ ...look(), stack: currentStack() })
  Object.defineProperty(globalThis, Symbol.for(NAME), { value: Object.assign(hold, { glance }) })
}

/** An application's own Error.prepareStackTrace would run its code, so it is out of the way for a moment; source maps stay. */
export function currentStack(): string {
  const { prepareStackTrace, stackTraceLimit } = Error
  delete (Error as { prepareStackTrace?: unknown }).prepareStackTrace
  Error.stackTraceLimit = FRAMES
  const { stack = '' } = new Error()
  Error.stackTraceLimit = stackTraceLimit
  if (prepareStackTrace) Error.prepareStackTrace = prepareStackTrace
  return stack
}

/** What the trap saw. From the watchdog thread, while the main thread is held. */
export function readSight(memory: SharedArrayBuffer): Sight & { readonly id: string } {
  const ints = new Int32Array(memory)
  return {
    loop: ints[TRAP.loop]!,
    request: ints[TRAP.request]!,
    id: textLines(memory)[0]!,
  }
}

function textLines(memory: SharedArrayBuffer): string[] {
  const length = new Int32Array(memory)[TRAP.length]!
  return Buffer.from(memory, FIELDS * 4, length)
    .toString()
    .split('\n')
}

/** The stack as the trap wrote it, without its own frames: `at spin (/srv/app.js:12:3)`. */
export function readStack(memory: SharedArrayBuffer): string[] {
  return withoutOwn(textLines(memory).slice(2))
}

/** Of a stack's lines, those of the code that was interrupted: what comes after the watchdog's own expression. */
export function withoutOwn(lines: readonly string[]): string[] {
  const own = lines.findIndex((line) => /<anonymous>:1:\d+\)?$/.test(line))
  return lines.slice(own + 1).map((line) => line.trim())
}

/** Whether one of its lines is not node's own. */
export const namesApplication = (stack: readonly string[]): boolean =>
  stack.some((line) => !/\(node:|^at (async )?node:|<anonymous>\)$/.test(line))
