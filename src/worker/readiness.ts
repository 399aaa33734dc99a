// When this worker is ready, and what it tells the master of the servers that listen: they do, then the application says so
// if it wants to, then its check is answered well, then, if it is a standby, it is promoted. Only then does it get clients.
// Runs in every worker.

import type net from 'node:net'
import type { UserError } from '../errors.ts'
import type { WorkerInit } from '../protocol.ts'
import type { AppWatch } from './app-loader.ts'
import type { Channel } from './channel.ts'
import { holdSockets, releaseSockets } from './listen.ts'
import { describeServer, isWhereAsked } from './listening.ts'
import type { Standing } from './standing.ts'
import type { Tls } from './tls.ts'

/** So long after its first server may an application listen where `--bind` says, ms. */
const BIND_PATIENCE_MS = 1_000
/** Between two checks, ms. */
const CHECK_MS = 250

const WAITS = 'it listens, but has not called ready()'

interface Milestones {
  /** Once, whether it then stands by or joins the pool. */
  readonly booted: () => void
  /** It joins the pool. */
  readonly ready: () => void
  /** It must not: what it serves is not what was asked for. */
  readonly refused: (error: UserError) => void
}

export class Readiness {
  app: AppWatch | undefined
  #state: 'booting' | 'listening' | 'checking' | 'standby' | 'ready' = 'booting'
  /** The application is to call ready(). */
  #isAwaited: boolean
  #listening: net.Server[] = []
  #bind: 'unknown' | 'waiting' | 'heeded' = 'unknown'
  #told = ''
  /** With TLS. */
  readonly #tls: Tls | undefined
  readonly #init: WorkerInit
  readonly #channel: Channel
  readonly #standing: Standing
  readonly #on: Milestones

  constructor(
    init: WorkerInit,
    { channel, standing, tls }: { channel: Channel; standing: Standing; tls: Tls | undefined },
    on: Milestones,
  ) {
    this.#on = on
    this.#init = init
    this.#tls = tls
    this.#channel = channel
    this.#standing = standing
    const { waitReady, readyCheck } = init.settings
    this.#isAwaited = waitReady
    if (waitReady) this.#hearPm2()
    if (waitReady || readyCheck || standing.isStandby) holdSockets()
  }

  get isReady(): boolean {
    return this.#state === 'ready'
  }

  /** An application that listens by itself has done so with its first server, an exported one when it has all of --bind. */
  listening(server: net.Server): void {
    this.#channel.keepAlive()
    this.#listening.push(server)
    if (this.isReady) this.#announce(server)
    const wanted = this.app?.addressesServed ?? 0
    const fault = wanted === 0 && !this.isReady && this.#tls?.faultOf(server)
    if (fault) return this.#on.refused(fault)
    if (this.#state === 'booting' && this.#listening.length >= wanted) {
      this.#state = 'listening'
      this.#advance()
    }
    if (wanted === 0) this.#checkBind(server)
  }

  /** For `nodicorn/app`: listening is not all it takes. Too late once the worker is ready. */
  notReady(): void {
    if (this.isReady || this.#state === 'standby') return
    this.#isAwaited = true
    holdSockets()
  }

  /** For `nodicorn/app`. */
  ready(): void {
    this.#isAwaited = false
    this.#advance()
  }

  /** It is no standby any more: once it has booted it joins the pool. */
  promoted(): void {
    if (this.#state === 'standby') this.#join()
  }

  /** What applications say that were written for PM2's `wait_ready`. */
  #hearPm2(): void {
    const send = process.send!
    process.send = ((message: unknown, ...rest: unknown[]) => {
      if (message === 'ready') this.ready()
      return Reflect.apply(send, process, [message, ...rest]) as boolean
    }) as typeof send
  }

  #advance(): void {
    if (this.#state !== 'listening') return
    if (this.#isAwaited) return this.#tell(WAITS)
    if (this.#init.settings.readyCheck === '') return this.#booted()
    this.#state = 'checking'
    void this.#check()
  }

  async #check(): Promise<void> {
    const { readyCheck } = this.#init.settings
    const what = `GET ${readyCheck}`
    this.#tell(`${what} has not been answered`)
    const { ask, canAsk } = await import('./ready-check.ts')
    for (;;) {
      const server = this.#listening.find((one) => one.listening && canAsk(one))
      const fault = server
        ? await ask(server, readyCheck).then(
            (status) => (status >= 200 && status < 400 ? '' : `${what} was answered ${status}`),
            (error: Error) => `${what} failed: ${error.message}`,
          )
        : `there is no HTTP server to ask ${what}`
      if (fault === '') return this.#booted()
      if (fault !== this.#told)
        this.#channel.tell({ type: 'notice', text: `Worker ${process.pid} is not ready: ${fault}` })
      this.#tell(fault)
      await new Promise((resolve) => setTimeout(resolve, CHECK_MS))
    }
  }

  #tell(fault: string): void {
    this.#told = fault
    this.#channel.tell({ type: 'waiting', text: fault })
  }

  #booted(): void {
    if (this.#standing.isStandby) {
      this.#state = 'standby'
      this.#channel.tell({ type: 'standby' })
    } else this.#join()
    this.#on.booted()
  }

  #join(): void {
    this.#state = 'ready'
    releaseSockets()
    for (const server of this.#listening) if (server.listening) this.#announce(server)
    this.#on.ready()
    this.#channel.tell({ type: 'ready' })
  }

  #announce(server: net.Server): void {
    this.#channel.tell({ type: 'listening', address: describeServer(server) })
  }

  /** An application may listen on several addresses: only after a while is it clear that none of them is the one asked for. */
  #checkBind(server: net.Server): void {
    const { bindIsExplicit, addresses } = this.#init
    if (this.#standing.slot > 0 || !bindIsExplicit) return
    if (isWhereAsked(server, addresses)) this.#bind = 'heeded'
    if (this.#bind !== 'unknown') return
    this.#bind = 'waiting'
    const { host, port } = describeServer(server)
    const where = port < 0 ? host : `port ${port}`
    const text = `--bind has no effect: the application listens by itself, on ${where}`
    const tell = (): void => {
      if (this.#bind === 'waiting') this.#channel.tell({ type: 'notice', text })
    }
    setTimeout(tell, BIND_PATIENCE_MS).unref()
  }
}
