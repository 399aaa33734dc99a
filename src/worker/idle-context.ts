// Idle connections forget the request they had last: node's keep-alive timer begins in that request's async context, and would
// hold it, its response and both their headers, 4 kB, for as long as the connection is idle. Runs in every worker with `requestContext`.

import type { AsyncLocalStorage } from 'node:async_hooks'
import type net from 'node:net'
import type { Entry } from './request-entry.ts'
import type { Servers } from './servers.ts'

/**
 * From time to time, because to set each timer up outside of its context takes 2 to 10 % of what a small request takes; and who
 * asks again within that time has a new timer anyway. Ms.
 */
const LOOK_MS = 2_000

type Holder = Readonly<Record<symbol, unknown>>
type Place = Record<symbol, unknown>
/** Node's own kind of Map, which is none to `instanceof`. */
interface Contexts {
  get(context: AsyncLocalStorage<Entry>): Entry | undefined
}

/** Where node keeps it otherwise, memory is all that is lost. */
export function forgetWhenIdle(context: AsyncLocalStorage<Entry>, servers: Servers): void {
  let timerOf: symbol | undefined
  let contextOf: symbol | undefined
  const forget = (socket: net.Socket): void => {
    const holder = socket as unknown as Holder
    const timer = holder[(timerOf ??= symbolOf(socket, 'timeout') ?? NOWHERE)] as Place | null
    if (!timer) return
    contextOf ??= ownSymbol(context) ?? symbolOf(timer, 'kAsyncContextFrame') ?? NOWHERE
    const held = timer[contextOf] as Entry | Contexts | undefined
    const entry = held && 'get' in held ? held.get(context) : held
    if (entry?.isOver) timer[contextOf] = undefined
  }
  setInterval(() => {
    for (const socket of servers.sockets) forget(servers.speaking(socket))
  }, LOOK_MS).unref()
}

const NOWHERE = Symbol('nodicorn.nowhere')

/** Before Node 24 each context had its own; since then all of them are in one Map. */
const ownSymbol = (context: { kResourceStore?: symbol } & object): symbol | undefined =>
  context.kResourceStore

const symbolOf = (holder: object, name: string): symbol | undefined =>
  Object.getOwnPropertySymbols(holder).find(({ description }) => description === name)
