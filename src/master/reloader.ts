// Says when a file has changed that the application loaded, that it looked for in vain, or that --reload-extra-file names. Runs
// in the master, imported only with `reload`.

import { dirname, relative, resolve } from 'node:path'
import type { Config } from '../config.ts'
import { stampOf } from '../file-stamp.ts'
import type { Log } from '../log.ts'
import type { LoadedFile } from '../protocol.ts'
import type { Settings } from '../settings.ts'
import { FileWatcher, SKIPPED, isDirectory } from './file-watcher.ts'

/** Editors write several files, and one in several steps, ms. More than the 50 for which chokidar is silent after an event. */
const QUIET_MS = 100
/** A file that is gone may be about to be written anew, ms. */
const GONE_MS = 400
/** Between two looks at all files: instead of the system's events, or for what they miss, as when a directory is replaced, ms. */
const SWEEP_MS = { poll: 500, auto: 2_000, inotify: 2_000 } as const satisfies Record<
  Settings['reloadEngine'],
  number
>

export class Reloader {
  /** What to do when something has changed. */
  onChange: () => void = () => undefined
  readonly #log: Log
  /** What names are relative to. */
  readonly #directory: string
  /** As the workers, or we, saw each file first or last heard of a change. */
  readonly #stamps = new Map<string, string>()
  readonly #touched = new Set<string>()
  /** Missing since a moment ago. */
  readonly #gone = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #sweep: NodeJS.Timeout | undefined
  #watcher: FileWatcher | undefined
  #globs: readonly Glob[] = []
  /** The directories in which a new file may match a glob. */
  #trees: 'unchanged' | 'touched' = 'unchanged'
  #failure = ''

  constructor(log: Log, directory: string) {
    this.#log = log
    this.#directory = directory
  }

  /** Follows the settings, at the start and after each reload. */
  use({ settings, file }: Config): void {
    this.#watcher = this.#watcherFor(settings.reloadEngine)
    clearInterval(this.#sweep)
    this.#sweep = setInterval(() => this.#touchAll(), SWEEP_MS[settings.reloadEngine])
    if (file) this.hear([[file, stampOf(file)]])
    this.#globs = settings.reloadExtraFiles.map((glob) => globOf(glob, this.#directory))
    void this.#findExtraFiles()
    for (const { tree, skipped } of this.#globs)
      if (tree !== undefined)
        void this.#watcher?.watchTree(tree, skipped).then(() => this.#touchTrees())
  }

  /** What somebody has loaded, as it was then: it may have changed since. */
  hear(files: readonly LoadedFile[]): void {
    for (const [path, stamp] of files) {
      const known = this.#stamps.get(path)
      if (known === stamp) continue
      if (known === undefined) this.#stamps.set(path, stamp)
      this.#touch(path)
    }
  }

  close(): void {
    clearTimeout(this.#timer)
    clearInterval(this.#sweep)
    this.#watcher?.close()
    this.#watcher = undefined
    this.onChange = () => undefined
  }

  #watcherFor(engine: Settings['reloadEngine']): FileWatcher | undefined {
    if (engine !== 'poll')
      return (
        this.#watcher ??
        new FileWatcher({
          wants: (path) => this.#stamps.has(path),
          heard: (path) => this.#heard(path),
          failed: (directory, error) => this.#failed(`cannot watch ${directory}: ${error.message}`),
        })
      )
    this.#watcher?.close()
    return undefined
  }

  #heard(path: string): void {
    if (this.#stamps.has(path)) this.#touch(path)
    else this.#touchTrees()
  }

  /** Looks at it soon, and again when it is watched, if it was not: it may change until then. */
  #touch(path: string): void {
    this.#touched.add(path)
    this.#lookSoon()
    const directory = dirname(path)
    void this.#watcher?.watch(directory).then((isNew) => isNew && this.#touchAllIn(directory))
  }

  #touchAllIn(directory: string): void {
    for (const path of this.#stamps.keys()) if (dirname(path) === directory) this.#touch(path)
  }

  #touchAll(): void {
    for (const path of this.#stamps.keys()) this.#touch(path)
    if (!this.#watcher) this.#touchTrees()
  }

  #touchTrees(): void {
    if (this.#globs.length === 0) return
    this.#trees = 'touched'
    this.#lookSoon()
  }

  #lookSoon(): void {
    this.#timer ??= setTimeout(() => void this.#look(), QUIET_MS)
  }

  async #look(): Promise<void> {
    const touched = [...this.#touched]
    this.#touched.clear()
    const changed = touched.filter((path) => this.#hasChanged(path))
    changed.push(...(await this.#lookForNew()))
    this.#timer = undefined
    if (this.#touched.size > 0 || this.#trees === 'touched') this.#lookSoon()
    const [first, ...others] = changed
    if (first === undefined) return
    this.#log.event('fileChanged', { file: this.#nameOf(first), more: others.length })
    this.onChange()
  }

  #hasChanged(path: string): boolean {
    const stamp = stampOf(path)
    const isNews = stamp !== this.#stamps.get(path)
    if (isNews && stamp === '' && !this.#gone.has(path)) {
      this.#gone.add(path)
      setTimeout(() => this.#touch(path), GONE_MS)
      return false
    }
    this.#gone.delete(path)
    this.#stamps.set(path, stamp)
    return isNews
  }

  async #lookForNew(): Promise<string[]> {
    if (this.#trees === 'unchanged') return []
    this.#trees = 'unchanged'
    return this.#findExtraFiles()
  }

  /** Those that match a glob and are new. */
  async #findExtraFiles(): Promise<string[]> {
    if (this.#globs.length === 0) return []
    try {
      const { glob } = await import('tinyglobby')
      const expand = ({ pattern, file, skipped }: Glob): string[] | Promise<string[]> => {
        if (file !== undefined) return [file]
        const ignore = skipped.map((name) => `**/${name}/**`)
        return glob(pattern, { cwd: this.#directory, absolute: true, ignore })
      }
      const found = await Promise.all(this.#globs.map(expand))
      const fresh = found.flat().filter((path) => !this.#stamps.has(path))
      this.hear(fresh.map((path) => [path, stampOf(path)]))
      return fresh
    } catch (error) {
      // EACCES, EMFILE: the next look may find them
      this.#failed(`cannot expand --reload-extra-file: ${(error as Error).message}`)
      return []
    }
  }

  /** Once for each kind of trouble: all directories may have the same. */
  #failed(why: string): void {
    if (this.#failure === '')
      this.#log.event('warning', {
        text: `${why}; looking at the files now and then instead (--reload)`,
      })
    this.#failure = why
  }

  #nameOf(path: string): string {
    const name = relative(this.#directory, path)
    return name.startsWith('..') ? path : name
  }
}

interface Glob {
  readonly pattern: string
  /** It is the path of a single file, which may be missing. */
  readonly file?: string
  /** Else a directory, below which every match is. */
  readonly tree?: string
  /** Names of directories that it does not mean. */
  readonly skipped: readonly string[]
}

function globOf(pattern: string, directory: string): Glob {
  const parts = pattern.split('/')
  const skipped = SKIPPED.filter((name) => !parts.includes(name))
  const first = parts.findIndex((part) => /[*?[\]{}()!]/.test(part))
  // of `/*.json` nothing is left but the root
  let tree = resolve(directory, first === -1 ? pattern : [...parts.slice(0, first), ''].join('/'))
  if (first === -1 && !isDirectory(tree)) return { pattern, file: tree, skipped }
  while (!isDirectory(tree)) tree = dirname(tree)
  return { pattern, tree, skipped }
}
