// The commands that speak to a running server: finds it, asks, prints. Runs in the CLI, imported only for them.

import type { OperatorCommand } from '../commands.ts'
import type { RequestList, ServerStatus } from '../control-protocol.ts'
import { UserError } from '../errors.ts'
import { recycle, reload, reopen, scale, stop } from './actions.ts'
import { parseCall, wholeNumber, type Call, type Flags } from './call.ts'
import { findServer, type Wanted } from './find.ts'
import { events, logs } from './follow.ts'
import { heap, profile, stack } from './look.ts'
import { requestsView, statusView } from './views.ts'

/** Answers the exit status. */
type Run = (call: Call) => Promise<number>

const table: Record<Exclude<OperatorCommand, 'doctor'>, Run> = {
  status: (call) => (call.flags['quiet'] ? health(call) : status(call)),
  requests: show<RequestList>('requests', requestsView),
  events,
  logs,
  metrics: show<{ body: string }>('metrics', ({ body }) => [body.trimEnd()]),
  top: async ({ server, find }) => (await import('./top.ts')).top(server, find),
  reload,
  scale,
  recycle,
  stop,
  reopen,
  stack,
  profile,
  heap,
}

const status = show<ServerStatus>('status', (s, width) => statusView(s, Date.now(), width))

/** 0 if the server should get requests. */
const health: Run = async ({ server, print }) => {
  const { unready } = await server.ask<ServerStatus>('status')
  for (const why of unready) print(why)
  return unready.length === 0 ? 0 : 1
}

export interface Place {
  /** As the shell calls it. */
  readonly directory: string
  /** XDG_RUNTIME_DIR. */
  readonly runtimeDir: string | undefined
}

/** Runs a command with the words after it; answers the exit status. Throws UserErrors. */
export async function runClient(
  command: OperatorCommand,
  all: readonly string[],
  place: Place,
): Promise<number> {
  const { words, flags } = parseCall(command, all)
  const wanted = wantedBy(flags, place)
  const print = (text: string): void => void process.stdout.write(`${text}\n`)
  const { isTTY, columns } = process.stdout
  const width = isTTY ? columns : Infinity
  if (command === 'doctor')
    return await (await import('./doctor.ts')).doctor({ wanted, flags, print, width })
  if (command === 'top' && !(isTTY && process.stdin.isTTY))
    throw new UserError(
      'BAD_COMMAND',
      'supervisor top needs a terminal, to draw on and to read keys from; "supervisor status" prints the same once',
    )
  const find = () => findServer(wanted)
  const server = await find()
  try {
    return await table[command]({ ...place, server, find, words, flags, print, width })
  } finally {
    server.close()
  }
}

function wantedBy(flags: Flags, place: Place): Wanted {
  const { socket } = flags
  const pid = wholeNumber(flags, 'pid', 1)
  return {
    ...place,
    ...(typeof socket === 'string' && { socket }),
    ...(pid !== undefined && { pid }),
  }
}

/** Asks for a picture and prints it, or the facts with --json. */
function show<T>(command: string, view: (result: T, width: number) => string[]): Run {
  return async ({ server, flags, print, width }) => {
    const result = await server.ask<T>(command)
    print(flags['json'] ? JSON.stringify(result, null, 2) : view(result, width).join('\n'))
    return 0
  }
}
