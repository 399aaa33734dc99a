// Leaves service without losing a request: stop accepting, finish what is in flight, hand idle connections over, say
// `Connection: close` on others, let the application clean up, disconnect. Runs in every worker; told by the master, by a signal, or by the master's death.

import cluster from 'node:cluster'
import net from 'node:net'
import type { Channel } from './channel.ts'
import { isExempt } from './deadlines.ts'
import { endStream, endUpgraded } from './farewell.ts'
import type { HookSlot } from './hook-slot.ts'
import type { DrainMode, DrainOrder, WorkerSettings } from '../protocol.ts'
import type { Handover } from './handover.ts'
import type { Requests } from './requests.ts'
import type { Servers } from './servers.ts'
import type { Shutdown } from './shutdown.ts'

/** How often a draining worker looks whether it is done, ms. */
const LOOK_MS = 20
/** What waits in the queue is let in when a drain begins: all of this if it takes as long, or a flood would keep it from beginning. */
const QUEUE = { ms: 500, connections: 4096 }
/** Deadlines that move by less are not worth a message, ms. */
const DEADLINE_MS = 500
/** Nobody took a connection, and it is back here: what its client has said meanwhile is read before it is closed as idle, ms. */
const BACK_MS = 50
/** Requests in flight get this long in a quick stop, or when the master is dead, ms. */
const QUICK_MS = 500
/** Without a master, everything is over after this long, whatever the application's own handlers do, ms. */
const ORPHAN_MS = 800
/** An application's own SIGTERM handler gets this long after the last request, ms; the master's gracefulTimeout may be shorter. */
const CLEAN_UP_MS = 10_000

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const
type StopSignal = (typeof SIGNALS)[number]
type Emit = (event: string, ...args: unknown[]) => boolean

type Patience = Pick<WorkerSettings, 'drainIdle' | 'drainUpgraded'>

export interface DrainParts {
  readonly servers: Servers
  readonly requests: Requests
  readonly channel: Channel
  readonly handover: Handover
  readonly hooks: HookSlot
  readonly shutdown: Shutdown
}

export class Drain {
  #state: 'serving' | 'draining' | 'cleaning-up' | 'disconnecting' = 'serving'
  #mode: DrainMode = 'graceful'
  #signal: StopSignal = 'SIGTERM'
  #patience = { idle: 0, upgraded: 0 }
  #idleUntil = Infinity
  #upgradedUntil = Infinity
  #beganAt = 0
  #queueEnd = 0
  #looking: NodeJS.Timeout | undefined
  /** The last deadline of the requests in flight, as the master knows it; ms of performance.now(). */
  #toldDeadline = 0
  readonly #parts: DrainParts
  readonly #cleanUps: (() => unknown)[] = []
  readonly #emit: Emit

  constructor(parts: DrainParts) {
    this.#parts = parts
    this.#emit = process.emit.bind(process) as Emit
  }

  /** What the application wants done once its last request is answered. */
  onCleanUp(cleanUp: () => unknown): void {
    this.#cleanUps.push(cleanUp)
  }

  /**
   * A stop signal starts a drain instead of the application's own handler, which is called when the drain is over:
   * handlers usually call process.exit(), which would cut requests in flight. Call before the application loads:
   * node binds process.emit when the first listener of a signal is added.
   */
  catchSignals({ drainIdle, drainUpgraded }: Patience): void {
    const emit = this.#emit
    process.emit = ((event: string, ...args: unknown[]) => {
      if (this.#state === 'serving' && isStopSignal(event)) {
        this.#signal = event
        this.#parts.channel.tell({ type: 'retire', reason: 'signal' })
        const mode = event === 'SIGTERM' ? 'graceful' : 'quick'
        this.start({
          mode,
          idleSeconds: drainIdle,
          upgradedSeconds: drainUpgraded,
          handover: mode === 'graceful',
        })
        return true
      }
      return emit(event, ...args)
    }) as typeof process.emit
    for (const signal of SIGNALS) process.on(signal, () => undefined)
  }

  /** The master died: leave within a second, and take what this worker spawned along. */
  watchMaster(): void {
    process.prependListener('disconnect', () => {
      if (this.#state === 'disconnecting') return
      cluster.worker!.exitedAfterDisconnect = true // or node:cluster exits this very moment
      process.on('exit', killGroup)
      setTimeout(() => process.exit(), ORPHAN_MS)
      this.start({ mode: 'quick', idleSeconds: 0, upgradedSeconds: 0, handover: false })
    })
  }

  /** A server that begins to listen while this worker leaves does not get far. */
  listening(server: net.Server): void {
    if (this.#state !== 'serving') setImmediate(() => leave(server))
  }

  start(order: DrainOrder): void {
    if (this.#state !== 'serving') {
      if (order.mode === 'quick') this.#hurry()
      return
    }
    this.#state = 'draining'
    if (order.mode === 'quick') this.#hurry()
    this.#beganAt = performance.now()
    this.#patience = { idle: order.idleSeconds * 1000, upgraded: order.upgradedSeconds * 1000 }
    const { servers, requests, channel, handover, shutdown } = this.#parts
    for (const server of servers.listening) keepOpen(server)
    shutdown.begin()
    const begin = (): void => {
      requests.drain((socket) => handover.moves(socket))
      this.#queueEnd = servers.accepted + QUEUE.connections
      channel.tell({
        type: 'draining',
        requests: requests.inFlight.size,
        connections: servers.sockets.size,
      })
      this.#emptyQueue(servers.accepted, 0)
    }
    if (order.handover) return handover.leave(begin)
    handover.end()
    begin()
  }

  #hurry(): void {
    if (this.#mode === 'quick') return
    this.#mode = 'quick'
    this.#parts.handover.end()
    this.#parts.shutdown.hurry()
    this.#parts.hooks.workerInt?.()
  }

  /** Closing the socket would reset what waits in its queue, of which libuv accepts one connection in each turn of the loop. */
  #emptyQueue(accepted: number, quietTurns: number): void {
    const isFlood = accepted >= this.#queueEnd && performance.now() > this.#beganAt + QUEUE.ms
    if (quietTurns === 2 || isFlood || this.#mode === 'quick') return this.#leavePool()
    setImmediate(() => {
      const now = this.#parts.servers.accepted
      this.#emptyQueue(now, now === accepted ? quietTurns + 1 : 0)
    })
  }

  #leavePool(): void {
    const { servers } = this.#parts
    // from here on: whoever was let in last has the whole time to say something
    const now = performance.now()
    this.#idleUntil = now + this.#patience.idle
    this.#upgradedUntil = now + this.#patience.upgraded
    for (const server of servers.listening) leave(server)
    // in the check phase, after the poll: what a client said while the loop was busy has been read by then
    this.#looking = setInterval(() => setImmediate(() => this.#look()), LOOK_MS)
    this.#look()
  }

  #look(): void {
    if (this.#state !== 'draining') return
    const { servers, requests, handover } = this.#parts
    const now = performance.now()
    handover.look()
    this.#tellDeadline(now)
    const isQuick = this.#mode === 'quick'
    if (isQuick || now >= this.#upgradedUntil) this.#endUpgraded()
    if (isQuick && now > this.#beganAt + QUICK_MS) servers.closeAll()
    else if (isQuick || now >= this.#idleUntil) this.#closeIdle()
    if (requests.inFlight.size === 0 && servers.sockets.size === 0 && handover.isQuiet)
      this.#finish()
  }

  /** The master kills who takes too long, and only it knows whether that is gracefulTimeout or what the requests have. */
  #tellDeadline(now: number): void {
    const open = [...this.#parts.requests.inFlight].filter(({ res }) => !isExempt(res))
    const last = Math.max(0, ...open.map(({ dueAt }) => dueAt))
    if (last === this.#toldDeadline || Math.abs(last - this.#toldDeadline) < DEADLINE_MS) return
    this.#toldDeadline = last
    const seconds = last === Infinity ? -1 : Math.max(0, last - now) / 1000
    this.#parts.channel.tell({ type: 'finishing', seconds })
  }

  #closeIdle(): void {
    const { servers, requests, handover } = this.#parts
    const now = performance.now()
    const isBack = (socket: net.Socket): boolean => {
      const bornAt = servers.bornAt(socket)
      return bornAt < Infinity && now - bornAt < BACK_MS
    }
    servers.closeIdle((socket) => handover.moves(socket) || isBack(socket))
    for (const session of servers.sessions) session.close()
    for (const entry of requests.inFlight)
      if (isExempt(entry.res) && !entry.res.writableEnded)
        endStream(entry, handover.moves(entry.req.socket as net.Socket))
  }

  #endUpgraded(): void {
    const { upgraded } = this.#parts.servers
    for (const socket of upgraded) endUpgraded(socket)
    upgraded.clear()
  }

  #finish(): void {
    this.#state = 'cleaning-up'
    clearInterval(this.#looking)
    void this.#cleanUp().finally(() => this.#disconnect())
  }

  /** The application's own handlers first; they may well exit by themselves. */
  async #cleanUp(): Promise<void> {
    await this.#parts.shutdown.settled() // the master knows when that has taken too long
    const limit = new Promise((resolve) => setTimeout(resolve, CLEAN_UP_MS).unref())
    const cleanUps = this.#cleanUps.map(async (cleanUp) => cleanUp())
    const workerExit = this.#parts.hooks.workerExit?.(this.#mode)
    await Promise.race([limit, Promise.allSettled([...cleanUps, workerExit])])
    // one listener is ours; people who come from PM2 listen for SIGINT alone
    const signal = [this.#signal, ...SIGNALS].find((name) => process.listenerCount(name) > 1)
    if (!signal) return
    // it may exit by itself, or close what is open and let the empty loop be its end, as it would without us
    const idle = new Promise((resolve) => process.once('beforeExit', resolve))
    process.channel?.unref()
    this.#emit(signal, signal)
    await Promise.race([limit, idle])
  }

  #disconnect(): void {
    this.#state = 'disconnecting'
    if (!process.connected) process.exit()
    process.once('disconnect', () => process.exit())
    this.#parts.channel.whenQuiet(() => cluster.worker!.disconnect())
  }
}

const isStopSignal = (event: string): event is StopSignal =>
  SIGNALS.some((signal) => signal === event)

/** Stops accepting but keeps the connections, which http's own close() would cut when idle. */
function leave(server: net.Server): void {
  net.Server.prototype.close.call(server)
  keepOpen(server)
}

/** An application that closes its server while its worker leaves would close what others still need. */
function keepOpen(server: net.Server): void {
  server.close = function (done?: (error?: Error) => void) {
    if (done) setImmediate(done)
    return server
  }
}

function killGroup(): void {
  try {
    process.kill(-process.pid, 'SIGKILL')
  } catch (error) {
    // ESRCH: this worker leads no process group, so there is nothing to take along
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
