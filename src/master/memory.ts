// How much memory workers have in RAM, read from outside: a worker that is stuck could not be asked. Linux has it in /proc,
// other systems in ps. Runs in the master.

import { fs } from '../builtin.ts'

/** Called for each process that could be read; at once on Linux, a moment later elsewhere. */
type Tell = (pid: number, bytes: number) => void

export class ResidentMemory {
  /** Kept open (4 us a read instead of 14), and never of another process that got the same pid. */
  readonly #files = new Map<number, number>()
  readonly #bytes = new Map<number, number>()
  readonly #from: 'proc' | 'ps'

  /** `from`: default /proc where there is one. */
  constructor(from: 'proc' | 'ps' = fs.existsSync('/proc/self/statm') ? 'proc' : 'ps') {
    this.#from = from
  }

  /** Bytes, by pid, as far as they are known by now; of no other processes than these. */
  latest(pids: readonly number[]): ReadonlyMap<number, number> {
    for (const pid of this.#bytes.keys()) if (!pids.includes(pid)) this.#bytes.delete(pid)
    this.read(pids, (pid, bytes) => this.#bytes.set(pid, bytes))
    return this.#bytes
  }

  /** Processes that are gone are left out. */
  read(pids: readonly number[], tell: Tell): void {
    for (const pid of this.#files.keys()) if (!pids.includes(pid)) this.#close(pid)
    if (this.#from === 'ps') return askPs(pids, tell)
    for (const pid of pids) {
      const pages = this.#pagesOf(pid)
      if (pages !== undefined) tell(pid, pages * pageSize())
    }
  }

  #pagesOf(pid: number): number | undefined {
    try {
      const file = this.#files.get(pid) ?? fs.openSync(`/proc/${pid}/statm`, 'r')
      this.#files.set(pid, file)
      return residentPages(file)
    } catch (error) {
      // ESRCH, ENOENT: it is gone; EMFILE, EACCES: it is not known this time
      if ((error as NodeJS.ErrnoException).code === undefined) throw error
      return undefined
    }
  }

  #close(pid: number): void {
    fs.closeSync(this.#files.get(pid)!)
    this.#files.delete(pid)
  }
}

const buffer = Buffer.alloc(128)

/** "size resident shared ...", in pages. */
const residentPages = (file: number): number =>
  Number(buffer.toString('latin1', 0, fs.readSync(file, buffer, 0, 128, 0)).split(' ')[1])

let knownPageSize: number | undefined

/** Bytes; Node doesn't say, but it knows our own memory in bytes, and pages are a power of two. */
function pageSize(): number {
  if (knownPageSize !== undefined) return knownPageSize
  const file = fs.openSync('/proc/self/statm', 'r')
  const exact = process.memoryUsage.rss() / residentPages(file)
  fs.closeSync(file)
  return (knownPageSize = 2 ** Math.round(Math.log2(exact)))
}

function askPs(pids: readonly number[], tell: Tell): void {
  if (pids.length === 0) return
  const { execFile } = process.getBuiltinModule('node:child_process')
  // it exits with 1 when one of them is gone, and still prints the others
  execFile('ps', ['-o', 'pid=,rss=', '-p', pids.join(',')], (_error, text) => {
    for (const line of text.split('\n')) {
      const [pid = NaN, kilobytes = NaN] = line.trim().split(/\s+/).map(Number)
      if (pids.includes(pid)) tell(pid, kilobytes * 1024)
    }
  })
}
