// What the kernel says of a process: memory, CPU time, descendants. Linux only.

import { readFileSync, readdirSync } from 'node:fs'
import { childrenOf } from '../test/helpers/process.ts'

/** Proportional set size of one process, MB. */
export function pss(pid: number): number {
  const kb = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]
  return Number(kb) / 1024
}

/** utime + stime of all its threads so far, ms; ticks of 10 ms. */
export function cpuTicks(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name, in parentheses, may contain anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** Time on a CPU of all its threads that live, ms; exact, where the kernel counts it. */
export function cpuExact(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8'))
    .reduce((sum, text) => sum + Number(text.split(' ')[0]) / 1e6, 0)
}

/** Its children, theirs, and so on. */
export const descendantsOf = (pid: number): number[] =>
  childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)])
