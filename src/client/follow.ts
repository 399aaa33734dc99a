// `supervisor events` and `supervisor logs`: what has happened, and what happens until the server ends, also under a new master.
// Runs in the CLI.

import { setTimeout as sleep } from 'node:timers/promises'
import type { EventItem } from '../control-protocol.ts'
import { UserError } from '../errors.ts'
import type { Level } from '../events.ts'
import { levels, readableLine, rounded } from '../log.ts'
import { wholeNumber, type Call } from './call.ts'
import { Connection } from './connection.ts'
import { harmless } from './format.ts'
import { eventLine } from './views.ts'

export async function events(call: Call): Promise<number> {
  const { flags, print } = call
  return await tell(call, (one) => print(flags['json'] ? JSON.stringify(one) : eventLine(one)))
}

/** As the log itself has them: text, or JSON with --json. */
export async function logs(call: Call): Promise<number> {
  const { flags, print } = call
  const least = levels[levelOf(flags['level'])]
  const line = (one: EventItem, pid: number): void => {
    if (levels[one.level] >= least) print(logLine(one, pid, Boolean(flags['json'])))
  }
  process.stderr.write(
    `The server's own log; what the application prints goes to the server's standard output\n`,
  )
  return await tell(call, line)
}

/** Ends well when the server does: nothing more can happen. `line` is given the pid of the master that tells. */
async function tell(
  { server, flags }: Call,
  line: (one: EventItem, pid: number) => void,
): Promise<number> {
  const last = wholeNumber(flags, 'last', 0)
  if (!flags['follow']) {
    await listen(server, { follow: false, ...(last !== undefined && { last }) }, line)
    return 0
  }
  let args = { follow: true, ...(last !== undefined && { last }) }
  let master: Connection | undefined = server
  while (master) {
    let wait = 0
    const heard: typeof line = (one, pid) => {
      if (one.event === 'upgraded') wait = SUCCESSOR_MS
      line(one, pid)
    }
    await listen(master, args, heard).catch(unlessEnded)
    if (master !== server) master.close()
    master = await successorOf(master, wait)
    args = { follow: true } // whatever the next master has logged is new
  }
  return 0
}

/** A master that takes over may listen only when the one before it has hung up, ms. */
const SUCCESSOR_MS = 10_000
const RETRY_MS = 50

const listen = (
  master: Connection,
  args: { readonly follow: boolean; readonly last?: number },
  line: (one: EventItem, pid: number) => void,
): Promise<unknown> => master.ask('events', args, (one: EventItem) => line(one, master.hello.pid))

/** After an upgrade, the new master listens where the old one did. `patience`: how long it may take until it does, ms. */
async function successorOf(
  { path }: Connection,
  patience: number,
): Promise<Connection | undefined> {
  const end = performance.now() + patience
  for (;;) {
    const found = await Connection.open(path).catch(unlessEnded)
    if (found || performance.now() > end) return found
    await sleep(RETRY_MS)
  }
}

function unlessEnded(error: unknown): undefined {
  if (error instanceof UserError && error.code === 'NO_SERVER') return undefined
  throw error
}

function levelOf(text: string | boolean | undefined): Level {
  if (text === undefined) return 'info'
  if (typeof text === 'string' && Object.hasOwn(levels, text)) return text as Level
  throw new UserError(
    'BAD_COMMAND',
    `--level is ${JSON.stringify(text)}; it must be one of ${Object.keys(levels).join(', ')}`,
  )
}

function logLine(
  { at, event, level, text, facts }: EventItem,
  pid: number,
  asJson: boolean,
): string {
  const json = (msg: string): string =>
    JSON.stringify({ level, pid, time: at, event, ...rounded(facts), msg })
  if (asJson) return json(text)
  // what a worker wrote before it died is lines of its own
  const { stderr } = facts as { stderr?: readonly string[] }
  const clean = { ...(stderr && { stderr: stderr.map(harmless) }) }
  const line = { level, pid, time: at, msg: harmless(text), ...clean }
  return readableLine(JSON.stringify(line), process.stdout.isTTY === true).trimEnd()
}
