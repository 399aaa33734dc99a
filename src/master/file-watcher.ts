// Hears from the system what changes in directories. Runs in the master, with `reload` only: chokidar is imported when asked for.

import { dirname, sep } from 'node:path'
import type { ChokidarOptions } from 'chokidar'
import { fs } from '../builtin.ts'

/** What no pattern means unless it says so. */
export const SKIPPED = ['node_modules', '.git']

export interface FileWatcherOptions {
  /** Which files matter, of a directory that is not watched whole. */
  readonly wants: (path: string) => boolean
  /** Something happened to this file. */
  readonly heard: (path: string) => void
  readonly failed: (directory: string, error: Error) => void
}

interface Watched {
  readonly close: () => void
  readonly ready: Promise<void>
}

export class FileWatcher {
  readonly #options: FileWatcherOptions
  readonly #directories = new Map<string, Promise<Watched>>()
  readonly #trees = new Map<string, Promise<Watched>>()

  constructor(options: FileWatcherOptions) {
    this.#options = options
  }

  /** The wanted files of a directory. True: it is watched from now on; false: it was before, or is not there. */
  async watch(directory: string): Promise<boolean> {
    if (this.#directories.has(directory) || !isDirectory(directory)) return false
    const { wants } = this.#options
    const watched = this.#open(directory, {
      depth: 0,
      ignored: (path, stats) => stats !== undefined && path !== directory && !wants(path),
    })
    this.#directories.set(directory, watched)
    await (
      await watched
    ).ready
    return true
  }

  /** A directory and all below it. Resolves when nothing is missed any more. */
  async watchTree(directory: string, skipped: readonly string[]): Promise<void> {
    const key = `${directory}${sep}${skipped.join()}`
    if (this.#trees.has(key)) return
    const watched = this.#open(directory, {
      ignored: (path) =>
        path
          .slice(directory.length)
          .split(sep)
          .some((name) => skipped.includes(name)),
    })
    this.#trees.set(key, watched)
    await (
      await watched
    ).ready
  }

  close(): void {
    for (const watched of [...this.#directories.values(), ...this.#trees.values()])
      void watched.then(({ close }) => close())
    this.#directories.clear()
    this.#trees.clear()
  }

  async #open(directory: string, options: ChokidarOptions): Promise<Watched> {
    const failed = (error: unknown): void => this.#options.failed(directory, error as Error)
    try {
      const { watch } = await import('chokidar')
      const always = { ignoreInitial: true, ignorePermissionErrors: true, atomic: false }
      const watcher = watch(directory, { ...options, ...always })
      watcher.on('all', (event, path) => {
        if (event === 'unlink') this.#distrust(dirname(path))
        this.#options.heard(path)
      })
      watcher.on('error', failed)
      const ready = new Promise<void>((resolve) => watcher.once('ready', () => resolve()))
      return { close: () => void watcher.close(), ready }
    } catch (error) {
      // ERR_MODULE_NOT_FOUND: a broken installation is no reason to stop serving
      failed(error)
      return { close: () => undefined, ready: Promise.resolve() }
    }
  }

  /** With a file its directory may have gone: another one of that name would not be heard, so it is watched anew when asked for. */
  #distrust(directory: string): void {
    const watched = this.#directories.get(directory)
    this.#directories.delete(directory)
    void watched?.then(({ close }) => close())
  }
}

export function isDirectory(path: string): boolean {
  try {
    return fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
  } catch (error) {
    // EACCES, ELOOP: none that we could watch
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return false
  }
}
