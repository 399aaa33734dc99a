// The pidfile: refuses a live one, replaces a stale one, is removed only if it is still ours. Runs in the master.

import { fs } from '../builtin.ts'
import { UserError } from '../errors.ts'
import { isAlive } from '../is-alive.ts'

export class Pidfile {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Throws PIDFILE_IN_USE when it names a process that is alive and not `predecessor`. */
  check(predecessor?: number): void {
    const owner = this.#read()
    if (owner === undefined || owner === process.pid || owner === predecessor) return
    if (isAlive(owner))
      throw new UserError(
        'PIDFILE_IN_USE',
        `already running on pid ${owner}, says ${this.#path} (--pid); stop that process, or remove the file if it is not ours`,
      )
  }

  /** Writes it, atomically: it is never missing or half there. Throws like check(), and NO_PERMISSION when it can't be written. */
  write(predecessor?: number): void {
    this.check(predecessor)
    try {
      const draft = `${this.#path}.${process.pid}.tmp`
      fs.writeFileSync(draft, `${process.pid}\n`, { mode: 0o644 })
      fs.renameSync(draft, this.#path)
    } catch (error) {
      throw new UserError(
        'NO_PERMISSION',
        `cannot write the pidfile ${this.#path} (--pid): ${(error as Error).message}`,
      )
    }
  }

  /** A new master wrote its pid, but did not live to take charge. A file that can't be written is stale, which the next start sees. */
  takeBack(from: number): void {
    try {
      if (this.#read() === from) this.write(from)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
    }
  }

  /** Never throws: a file that can't be removed must not spoil a clean stop; its stale pid is seen through at the next start. */
  remove(): void {
    if (this.#read() !== process.pid) return
    try {
      fs.rmSync(this.#path, { force: true })
    } catch (error) {
      // EACCES, EROFS: the directory is no longer ours to change
      if ((error as NodeJS.ErrnoException).code === undefined) throw error
    }
  }

  #read(): number | undefined {
    try {
      const pid = Number(fs.readFileSync(this.#path, 'utf8').trim())
      return Number.isInteger(pid) && pid > 0 ? pid : undefined
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw new UserError(
        'NO_PERMISSION',
        `cannot read the pidfile ${this.#path} (--pid): ${(error as Error).message}`,
      )
    }
  }
}
