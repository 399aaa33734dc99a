// An idle connection forgets the request it had last: node's keep-alive timer begins in that request's async context, and would
// hold it, its response and both their headers, 7 kB, for as long as the connection is idle. Runs in every worker with `requestContext`.

import type { AsyncLocalStorage } from 'node:async_hooks'
import net from 'node:net'
import type { Entry } from './request-entry.ts'

type SetTimeout = (this: net.Socket, ms: number, listener?: () => void) => net.Socket

/** Patches net.Socket.prototype.setTimeout, for who has no listener and whose request is over: node itself. Call once. */
export function forgetWhenIdle(context: AsyncLocalStorage<Entry>): void {
  const prototype = net.Socket.prototype as unknown as { setTimeout: SetTimeout }
  const { setTimeout } = prototype
  const outside = context as AsyncLocalStorage<Entry | undefined>
  prototype.setTimeout = function (ms, listener) {
    if (ms === 0 || listener !== undefined || context.getStore()?.isOver !== true)
      return setTimeout.call(this, ms, listener)
    return outside.run(undefined, call, setTimeout, this, ms)
  }
}

const call = (setTimeout: SetTimeout, socket: net.Socket, ms: number): net.Socket =>
  setTimeout.call(socket, ms)
