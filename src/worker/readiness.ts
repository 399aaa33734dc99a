// When this worker is ready, and what it tells the master of the servers that listen. Runs in every worker.

import type net from 'node:net'
import type { WorkerInit } from '../protocol.ts'
import type { AppWatch } from './app-loader.ts'
import type { Channel } from './channel.ts'
import { describeServer, isWhereAsked } from './listening.ts'

/** So long after its first server may an application listen where `--bind` says, ms. */
const BIND_PATIENCE_MS = 1_000

export class Readiness {
  app: AppWatch | undefined
  #listening = 0
  #bind: 'unknown' | 'waiting' | 'heeded' = 'unknown'
  readonly #init: WorkerInit
  readonly #channel: Channel
  readonly #onReady: () => void
  #isReady = false

  constructor(init: WorkerInit, channel: Channel, onReady: () => void) {
    this.#onReady = onReady
    this.#init = init
    this.#channel = channel
  }

  /** An application that listens by itself is ready with its first server, an exported one when it has all of --bind. */
  listening(server: net.Server): void {
    this.#channel.keepAlive()
    this.#channel.tell({ type: 'listening', address: describeServer(server) })
    const wanted = this.app?.addressesServed ?? 0
    if (++this.#listening >= wanted) this.#ready()
    if (wanted === 0) this.#checkBind(server)
  }

  #ready(): void {
    if (this.#isReady) return
    this.#isReady = true
    this.#onReady()
    this.#channel.tell({ type: 'ready' })
  }

  /** An application may listen on several addresses: only after a while is it clear that none of them is the one asked for. */
  #checkBind(server: net.Server): void {
    const { slot, bindIsExplicit, addresses } = this.#init
    if (slot > 0 || !bindIsExplicit) return
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
