// What goes wrong, or is done to a server while clients use it.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Feature } from '../peers/peer.ts'
import type { Started, StartOptions } from '../servers.ts'
import type { Site } from '../site.ts'
import type { Clients } from './clients.ts'

export interface Scene {
  readonly server: Started
  readonly clients: Clients
  /** Ends with the scene. */
  readonly site: Site
  /** A file that is not there; an app that boots while it is does not start. */
  readonly broken: string
  /** How long clients are watched after it, ms. */
  readonly afterMs: number
}

export interface Fault {
  /** For `--rows`. */
  readonly name: string
  readonly what: string
  readonly needs?: Feature
  readonly options?: StartOptions
  /** Clients of each kind that run all the time; default 8. */
  readonly crowd?: number
  happen(scene: Scene): Promise<void>
  /** Why a peer does better here, by its name. Said only of those that do. */
  readonly reasons?: Readonly<Record<string, string>>
}

const times = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, n) => make(n))

/** What the command says is nothing that clients see. */
const reloadAnyhow = ({ server }: Scene): Promise<void> => server.reload!().catch(() => undefined)

const IDLE = 64

async function idleOverReload(scene: Scene): Promise<void> {
  const { clients, site, afterMs } = scene
  const kept = await Promise.all(times(IDLE, () => clients.kept(site)))
  const reloading = reloadAnyhow(scene)
  const each = (n: number): number => (n / IDLE) * afterMs
  await Promise.all(kept.map((one, n) => sleep(each(n)).then(() => one.speaksAgain())))
  await reloading
}

async function stop({ server, clients }: Scene): Promise<void> {
  const underWay = times(32, () => clients.ask('/long'))
  await sleep(200)
  await server.terminate()
  await Promise.all(underWay)
}

const ONE_EACH =
  'a thread for each request, so the neighbours go on; but its own client waits for ever, and the thread is lost'
const THREADS = {
  gunicorn: ONE_EACH,
  puma: ONE_EACH,
}

export const faults: readonly Fault[] = [
  { name: 'reload', what: 'reload under load', needs: 'reload', happen: reloadAnyhow },
  {
    name: 'idle',
    what: 'idle kept connections that speak during and after a reload',
    needs: 'reload',
    crowd: 0,
    happen: idleOverReload,
  },
  {
    name: 'crash',
    what: 'kill -9 of a worker',
    happen: async ({ server }) => void process.kill(server.workers()[0]!, 'SIGKILL'),
  },
  {
    name: 'exception',
    what: 'an exception that nobody catches',
    happen: ({ clients }) => clients.ask('/throw'),
  },
  {
    name: 'blocked',
    what: 'a handler that blocks its worker',
    happen: ({ clients }) => clients.ask('/while'),
    reasons: THREADS,
  },
  {
    name: 'never',
    what: '4 handlers that never answer',
    happen: async ({ clients }) => void (await Promise.all(times(4, () => clients.ask('/never')))),
  },
  { name: 'stop', what: 'stop with 32 requests under way', needs: 'stop', crowd: 0, happen: stop },
  {
    name: 'deploy',
    what: 'reload to a version that does not start',
    needs: 'reload',
    happen: (scene) => {
      writeFileSync(scene.broken, '')
      return reloadAnyhow(scene)
    },
  },
  {
    name: 'recycle',
    what: 'workers replaced after 100 to 200 requests',
    needs: 'recycle',
    options: { recycleAfter: 100 },
    happen: async () => undefined,
  },
]

/** The path of a file to be. */
export const brokenIn = (dir: string): string => join(dir, 'broken')
