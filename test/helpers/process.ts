// Looking at processes from outside. Linux reads /proc, macOS asks ps.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'

interface Row {
  readonly pid: number
  readonly parent: number
  readonly group: number
  /** R, S, D, T, Z ... */
  readonly state: string
}

const hasProc = existsSync('/proc/self/stat')

/** Neither gone nor a zombie. */
export function isAlive(pid: number): boolean {
  const row = rowOf(pid)
  return row !== undefined && !row.state.startsWith('Z')
}

/** Its direct children, zombies included. */
export const childrenOf = (pid: number): number[] =>
  allRows()
    .filter((row) => row.parent === pid)
    .map((row) => row.pid)

export const zombieChildrenOf = (pid: number): number[] =>
  allRows()
    .filter((row) => row.parent === pid && row.state.startsWith('Z'))
    .map((row) => row.pid)

/** Its process group; undefined if it is gone. */
export const groupOf = (pid: number): number | undefined => rowOf(pid)?.group

/** Open file descriptors; Linux only. */
export const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'closed meanwhile'
    throw error
  }
}

/** What they are: `3 socket, 1 /var/log/x`; for the message of a test that has failed. */
export function filesOf(pid: number): string {
  const counts = new Map<string, number>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const target = linkOf(`/proc/${pid}/fd/${fd}`).replace(/:\[\d+\]$/, '')
    counts.set(target, (counts.get(target) ?? 0) + 1)
  }
  return [...counts].map(([target, count]) => `${count} ${target}`).join(', ')
}

/** Sends the signal if the process or, with a negative pid, its group is still there. */
export function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // ESRCH: it is gone, which is what we want. EPERM: macOS says so of a group of zombies.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}

const rowOf = (pid: number): Row | undefined =>
  hasProc ? readRow(pid) : allRows().find((row) => row.pid === pid)

const allRows = (): Row[] =>
  hasProc
    ? readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .flatMap((name) => readRow(Number(name)) ?? [])
    : execFileSync('ps', ['-A', '-o', 'pid=,ppid=,pgid=,stat='], { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map((line) => toRow(line.trim().split(/\s+/)))

function readRow(pid: number): Row | undefined {
  try {
    // The name, in parentheses, may contain anything; the fields after it may not.
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent, group] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return toRow([String(pid), parent, group, state])
  } catch (error) {
    // ENOENT, ESRCH: it is gone.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

const toRow = ([pid, parent, group, state]: (string | undefined)[]): Row => ({
  pid: Number(pid),
  parent: Number(parent),
  group: Number(group),
  state: state ?? '',
})
