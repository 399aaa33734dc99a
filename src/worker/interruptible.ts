// What the watchdog needs in the main thread: whose code is running, and, to stop one request's code and keep the worker, node's
// own function that forgets the stack of async ids. Runs in the main thread of every worker.

import { executionAsyncId } from 'node:async_hooks'
import type { WorkerSettings } from '../protocol.ts'
import type { Channel } from './channel.ts'
import { storage } from './context.ts'
import { currentStack, HOLDER_EXPRESSION, HOLDER_NAME, type Sight } from './trap.ts'

interface Holder {
  readonly sight: () => Sight
  readonly stack: () => string
  clear?: () => void
}

/** Cut to 32 bits, as shared memory has them. */
export function sight(): Sight {
  const { loopCount } = performance.nodeTiming.uvMetricsInfo
  return {
    loop: loopCount | 0,
    request: storage.getStore()?.number ?? 0,
  }
}

/** The same with the request's own id, which may have to be made. */
export const fullSight = (): Sight & { id: string } => ({
  ...sight(),
  id: storage.getStore()?.id ?? '',
})

/** `blocked: 'interrupt'`, as far as the main thread has to do with it. Make it before the application loads. */
export class Interrupts {
  #state: 'off' | 'untested' | 'possible' = 'off'
  readonly #channel: Channel

  constructor(
    { blocked, requestContext }: Pick<WorkerSettings, 'blocked' | 'requestContext'>,
    channel: Channel,
  ) {
    this.#channel = channel
    if (blocked === 'kill') return
    if (requestContext) this.#prepare()
    else this.giveUp('without --request-context nobody knows which request is to blame')
  }

  /** From the second turn of the loop on. */
  get arePossible(): boolean {
    return this.#state === 'possible'
  }

  /** The log hears of it once, from whichever worker is first. */
  giveUp(problem: string): void {
    this.#state = 'off'
    const text = `--blocked interrupt has no effect, a blocked worker is killed: ${problem}`
    this.#channel.tell({ type: 'notice', text })
  }

  #prepare(): void {
    this.#state = 'untested'
    const holder: Holder = { sight, stack: currentStack }
    Object.defineProperty(globalThis, Symbol.for(HOLDER_NAME), { value: holder })
    const problem = grabClear(holder)
    if (problem) return this.giveUp(problem)
    // a callback of its own has a stack of async ids that may be forgotten
    setImmediate(() => {
      const before = executionAsyncId()
      holder.clear!()
      if (before > 0 && executionAsyncId() === 0) this.#state = 'possible'
      else this.giveUp('clearAsyncIdStack does not do what it did')
    })
  }
}

/**
 * An exception that nothing catches, as this one is, makes node forget the stack of async ids, or it aborts the process. Nobody
 * but the inspector can call that function: it is in the closure of process._fatalException.
 */
function grabClear(holder: Holder): string | undefined {
  const { Session } = process.getBuiltinModule('node:inspector')
  const session = new Session()
  try {
    session.connect()
    const found = findInScopes(session, 'process._fatalException', 'clearAsyncIdStack')
    if (!found) return 'process._fatalException is not what it was'
    const objectId = evaluate(session, HOLDER_EXPRESSION)
    const functionDeclaration = 'function (clear) { this.clear = clear }'
    const call = { objectId, functionDeclaration, arguments: [{ objectId: found }] }
    session.post('Runtime.callFunctionOn', call)
    return typeof holder.clear === 'function' ? undefined : 'clearAsyncIdStack is no function'
  } finally {
    session.disconnect()
  }
}

type Session = import('node:inspector').Session

/** The handle of what a closure calls `name`. On a session with its own thread, post() answers before it returns. */
function findInScopes(session: Session, closure: string, name: string): string | undefined {
  const scopes = propertiesOf(session, evaluate(session, closure)).internalProperties?.find(
    (property) => property.name === '[[Scopes]]',
  )?.value?.objectId
  for (const { value } of propertiesOf(session, scopes).result) {
    if (value?.description?.startsWith('Global')) continue
    const found = propertiesOf(session, value?.objectId).result.find((one) => one.name === name)
    if (found) return found.value?.objectId
  }
  return undefined
}

function evaluate(session: Session, expression: string): string | undefined {
  let objectId: string | undefined
  session.post('Runtime.evaluate', { expression }, (error, answer) => {
    if (!error) objectId = answer.result.objectId
  })
  return objectId
}

type Properties = Partial<import('node:inspector').Runtime.GetPropertiesReturnType>

function propertiesOf(
  session: Session,
  objectId: string | undefined,
): Properties & { result: NonNullable<Properties['result']> } {
  let properties: Properties = {}
  if (objectId !== undefined)
    session.post('Runtime.getProperties', { objectId, ownProperties: true }, (error, answer) => {
      if (!error) properties = answer
    })
  return { ...properties, result: properties.result ?? [] }
}
