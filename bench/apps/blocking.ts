// Every way to block an event loop in JavaScript, in TypeScript: the log must have the lines of this source.

import type { RequestListener } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

// Types that leave no trace in what runs, so that its lines and columns are others.
interface Way {
  readonly path: string
  readonly go: () => unknown
}

function spinForever(): never {
  for (;;); // spinForever stands here
}

function backtrack(): boolean {
  return /^(a+)+$/.test('a'.repeat(60) + '!') // backtrack stands here
}

function waitForNobody(): string {
  return Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) // waitForNobody stands here
}

async function starveTimers(): Promise<never> {
  for (;;) await null // starveTimers stands here
}

const ways: readonly Way[] = [
  { path: '/while', go: spinForever },
  { path: '/regex', go: backtrack },
  { path: '/atomics', go: waitForNobody },
  { path: '/microtasks', go: starveTimers },
  {
    path: '/after-await',
    go: async (): Promise<never> => {
      await sleep(20)
      return spinForever()
    },
  },
  { path: '/timer', go: () => setTimeout(spinForever, 20) },
  { path: '/immediate', go: () => setImmediate(spinForever) },
]

const listener: RequestListener = (req, res) => {
  const way = ways.find(({ path }) => path === req.url)
  if (way) way.go()
  else res.end('hello')
}
export default listener
