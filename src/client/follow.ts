// `supervisor events` and `supervisor logs`: what has happened, and what happens until the server ends. Runs in the CLI.

import type { EventItem } from '../control-protocol.ts'
import { UserError } from '../errors.ts'
import type { Level } from '../events.ts'
import { levels, readableLine, rounded } from '../log.ts'
import { wholeNumber, type Call } from './call.ts'
import { harmless } from './format.ts'
import { eventLine } from './views.ts'

export async function events(call: Call): Promise<number> {
  const { flags, print } = call
  return await tell(call, (one) => print(flags['json'] ? JSON.stringify(one) : eventLine(one)))
}

/** As the log itself has them: text, or JSON with --json. */
export async function logs(call: Call): Promise<number> {
  const { server, flags, print } = call
  const least = levels[levelOf(flags['level'])]
  const line = (one: EventItem): void => {
    if (levels[one.level] >= least) print(logLine(one, server.hello.pid, Boolean(flags['json'])))
  }
  process.stderr.write(
    `The server's own log; what the application prints goes to the server's standard output\n`,
  )
  return await tell(call, line)
}

/** Ends well when the server does: nothing more can happen. */
async function tell({ server, flags }: Call, line: (one: EventItem) => void): Promise<number> {
  const last = wholeNumber(flags, 'last', 0)
  const follow = Boolean(flags['follow'])
  const args = { follow, ...(last !== undefined && { last }) }
  return await server.ask('events', args, line).then(
    () => 0,
    (error: unknown) => {
      const hasEnded = follow && error instanceof UserError && error.code === 'NO_SERVER'
      if (!hasEnded) throw error
      return 0
    },
  )
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
