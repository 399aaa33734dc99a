// Whoever listens for a request's body is in the request's context when it comes. Node's parser tells of it in the context of the
// connection, which is in no request: no id, no signal, nobody to blame for an error or a loop. Runs in every worker.

import type { AsyncLocalStorage } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { http } from '../builtin.ts'
import type { Entry } from './request-entry.ts'

const BOUND = Symbol('nodicorn.bound')
type Bindable = Pick<EventEmitter, 'emit'> & { [BOUND]?: true }

/** Calls `emit` for the entry, in its context. */
export type Enter = (entry: Entry, emit: () => boolean) => boolean

/**
 * Patches IncomingMessage.prototype.on, because requests that nobody listens to, most of those without a body, then cost nothing:
 * the handler is in the context when it adds its listeners. Call once, before the application loads.
 */
export function followBodies(context: AsyncLocalStorage<Entry>, enter: Enter): void {
  const { prototype } = http().IncomingMessage
  const { on } = prototype
  const follow = function (this: IncomingMessage) {
    const entry = context.getStore()
    // node itself listens for the end of every request whose response is sent
    if (entry !== undefined && entry.req === this && !entry.res.writableFinished)
      bind(this, entry, context, enter)
    return Reflect.apply(on, this, arguments) as typeof this
  } as typeof on
  prototype.on = prototype.addListener = follow
}

/** From now on its events are emitted in the context of the entry. */
export function bind(
  emitter: Bindable,
  entry: Entry,
  context: AsyncLocalStorage<Entry>,
  enter: Enter,
): void {
  if (emitter[BOUND]) return
  emitter[BOUND] = true
  const { emit } = emitter
  emitter.emit = function (...args) {
    const here = (): boolean => Reflect.apply(emit, this, args) as boolean
    return context.getStore() === entry ? here() : enter(entry, here)
  }
}
