// Zombies that the master cannot bury: as process 1 of a container it inherits what the application leaves behind, but node waits
// for children of its own only. Runs in the master, loaded where that is process 1.

import type { Log } from '../log.ts'
import { textAt } from '../read-text.ts'

/** Node has buried its own within this, ms. */
const LOOK_MS = 3_000

/** Says it once, with how many there are by then. */
export function watchZombies(log: Log): void {
  let before: readonly number[] = []
  const timer = setInterval(() => {
    const now = zombies()
    const count = now.filter((pid) => before.includes(pid)).length
    before = now
    if (count === 0) return
    clearInterval(timer)
    log.event('zombies', { count })
  }, LOOK_MS).unref()
}

/** Children of this process that have ended; none where the kernel does not list them. */
function zombies(): number[] {
  const children = textAt('/proc/self/task/1/children').split(' ').filter(Boolean)
  return children.filter((pid) => /^State:\s+Z/m.test(textAt(`/proc/${pid}/status`))).map(Number)
}
