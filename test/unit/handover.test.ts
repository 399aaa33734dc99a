// The way of an idle connection through the masters of an upgrade: nobody has it twice, and it is never nobody's.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Log } from '../../src/log.ts'
import { Handover } from '../../src/master/handover.ts'
import { Passage, type Party } from '../../src/master/passage.ts'
import type { WorkerHandle } from '../../src/master/worker-handle.ts'

class FakeParty implements Party {
  connections = 0
  readonly heard: string[] = []
  // what else a master looks at in a worker
  readonly reason = undefined
  readonly generation = 1
  readonly watchdog = {}
  readonly facts = { worker: 1, slot: 0 }

  tell(message: Parameters<Party['tell']>[0]): void {
    const rest = message.type === 'given' ? ` ${message.taken ? 'taken' : 'back'}` : ''
    this.heard.push(`${message.type} ${message.seq}${rest}`)
  }

  get last(): string | undefined {
    return this.heard.at(-1)
  }
}

class FakeConnection {
  readonly fd = 7
  isOpen = true

  close(): void {
    this.isOpen = false
  }
}

function setUp(workers: FakeParty[] = []) {
  const passage = new Passage()
  const log = { event: () => undefined } as unknown as Log
  const ready = (): WorkerHandle[] => workers as unknown as WorkerHandle[]
  const handover = new Handover(log, { oldest: 1 }, ready, passage)
  const giver = new FakeParty()
  const connection = new FakeConnection()
  const give = (party: Party = giver): void => {
    handover.hear(party, { type: 'give', seq: 5, key: 'a', served: true }, connection)
    handover.hear(party, { type: 'gave', seq: 5 }, undefined)
  }
  const enthrone = (): FakeParty => (passage.successor = new FakeParty()) as FakeParty
  return { passage, handover, giver, connection, give, enthrone, workers }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('goes to the new master if nobody here stays, and is closed here when it has arrived', () => {
  const { passage, giver, connection, give, enthrone } = setUp()
  const successor = enthrone()
  give()
  expect(successor.heard).toEqual(['take 1', 'sent 1'])
  expect({ heard: giver.heard, isOpen: connection.isOpen }).toEqual({ heard: [], isOpen: true })
  passage.hear(successor, { type: 'taken', seq: 1, taken: true })
  expect({ heard: giver.heard, isOpen: connection.isOpen }).toEqual({
    heard: ['given 5 taken'],
    isOpen: false,
  })
})

test('stays here as long as a worker here stays', () => {
  const { give, enthrone, workers } = setUp([new FakeParty()])
  const successor = enthrone()
  give()
  expect(workers[0]!.heard).toEqual(['take 1', 'sent 1'])
  expect(successor.heard).toEqual([])
})

test('goes back if there is no new master, or if that one refuses it', () => {
  const { passage, giver, give, enthrone } = setUp()
  give()
  expect(giver.heard).toEqual(['given 5 back'])
  const successor = enthrone()
  give()
  passage.hear(successor, { type: 'taken', seq: 2, taken: false })
  expect(giver.heard).toEqual(['given 5 back', 'given 5 back'])
})

test('does not wait for others that are on their way to the new master', () => {
  const { give, enthrone } = setUp()
  const successor = enthrone()
  give()
  give()
  expect(successor.heard).toEqual(['take 1', 'sent 1', 'take 2', 'sent 2'])
})

test('goes back when the new master is dead, but not before its workers are dead too', () => {
  const { passage, giver, connection, give, enthrone } = setUp()
  enthrone()
  give()
  passage.lost()
  vi.advanceTimersByTime(1_900)
  expect(giver.heard).toEqual([])
  vi.advanceTimersByTime(200)
  expect(giver.heard).toEqual(['given 5 back'])
  expect(connection.isOpen).toBe(false)
  give()
  expect(giver.heard, 'the next one at once').toEqual(['given 5 back', 'given 5 back'])
})

test('comes from an old master as from a worker', () => {
  const { passage, handover, connection, give, workers } = setUp([new FakeParty()])
  const predecessor = (passage.predecessor = new FakeParty())
  give(predecessor)
  const [worker] = workers
  expect(worker!.heard).toEqual(['take 1', 'sent 1'])
  handover.hear(worker!, { type: 'taken', seq: 1, taken: true }, undefined)
  expect(predecessor.heard).toEqual(['given 5 taken'])
  expect(connection.isOpen).toBe(false)
})

test('that was lost on the way from an old master goes back', () => {
  const { passage } = setUp([new FakeParty()])
  const predecessor = (passage.predecessor = new FakeParty())
  passage.hear(predecessor, { type: 'gave', seq: 9 })
  expect(predecessor.heard).toEqual(['given 9 back'])
})

test('of an old master goes back to it if this one has been replaced as well', () => {
  const { passage, give, enthrone } = setUp()
  const predecessor = (passage.predecessor = new FakeParty())
  const successor = enthrone()
  give(predecessor)
  expect(predecessor.heard).toEqual(['given 5 back'])
  expect(successor.heard).toEqual([])
})

test('of an old master goes on to the next worker if one dies with it, and back if there is none', () => {
  const { passage, handover, give, workers } = setUp([new FakeParty(), new FakeParty()])
  const predecessor = (passage.predecessor = new FakeParty())
  give(predecessor)
  const [first, second] = workers
  const bury = (): void => handover.gone(workers.shift() as unknown as WorkerHandle)
  bury()
  expect([first!.last, second!.last]).toEqual(['sent 1', 'sent 1'])
  expect(predecessor.heard).toEqual([])
  bury()
  expect(predecessor.heard).toEqual(['given 5 back'])
})
