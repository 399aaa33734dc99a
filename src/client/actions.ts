// The commands that change something: reload, scale, recycle, stop. Runs in the CLI.

import type { EventItem } from '../control-protocol.ts'
import { UserError } from '../errors.ts'
import { usage, type Call } from './call.ts'
import { ReloadProgress } from './progress.ts'
import { STATUS, onSignal } from './signals.ts'
import { eventLine } from './views.ts'

export async function reload(call: Call): Promise<number> {
  const { server, flags, print } = call
  if (flags['wait']) return await reloadAndWait(call)
  await server.ask('reload', { wait: false })
  if (!flags['json']) print('Reload begun; "supervisor reload --wait" waits for its end')
  return 0
}

/** On a terminal one line that moves, elsewhere a line for each step. Ctrl-C ends the waiting alone. */
async function reloadAndWait({ server, flags, print }: Call): Promise<number> {
  const isMoving = process.stdout.isTTY === true && !flags['json']
  const progress = isMoving ? new ReloadProgress(server) : undefined
  const item = (one: EventItem): void =>
    progress ? progress.hear(one) : print(flags['json'] ? JSON.stringify(one) : eventLine(one))
  let ignore = (): void => undefined
  const interrupted = new Promise<'interrupted'>((resolve) => {
    ignore = onSignal('SIGINT', () => resolve('interrupted'))
  })
  try {
    const asked = server.ask<{ seconds: number; generation: number }>(
      'reload',
      { wait: true },
      item,
    )
    const ended = await Promise.race([asked, interrupted])
    if (ended === 'interrupted') {
      progress?.clear()
      process.stderr.write('The reload goes on; "supervisor status" shows how it ends\n')
      asked.catch(() => undefined) // NO_SERVER: we hang up
      return STATUS.SIGINT
    }
    await progress?.done(ended)
    return 0
  } finally {
    ignore()
    progress?.clear()
  }
}

export async function scale({ server, words, flags, print }: Call): Promise<number> {
  const [text = ''] = words
  if (!/^[+-]?\d+$/.test(text))
    throw new UserError(
      'BAD_COMMAND',
      `${text === '' ? 'a number is missing' : `${JSON.stringify(text)} is not a number`}: ${usage('scale')}`,
    )
  const change = /^[+-]/.test(text) ? { by: Number(text) } : { to: Number(text) }
  const { from, to } = await server.ask<{ from: number; to: number }>('scale', change)
  print(flags['json'] ? JSON.stringify({ from, to }) : `Workers: ${from} -> ${to}`)
  return 0
}

export async function recycle({ server, words, flags, print }: Call): Promise<number> {
  const [text] = words
  if ((text === undefined) !== Boolean(flags['all']) || (text !== undefined && !/^\d+$/.test(text)))
    throw new UserError(
      'BAD_COMMAND',
      'say which: supervisor recycle SLOT, or supervisor recycle --all',
    )
  const args = text === undefined ? {} : { slot: Number(text) }
  const result = await server.ask<{ workers: number[] }>('recycle', args)
  print(flags['json'] ? JSON.stringify(result) : `Recycling pid ${result.workers.join(', ')}`)
  return 0
}

export async function reopen({ server, flags, print }: Call): Promise<number> {
  await server.ask('reopen')
  if (!flags['json']) print('The server opens its log files anew')
  return 0
}

export async function stop({ server, flags, print }: Call): Promise<number> {
  const { name, pid } = server.hello
  await server.ask('stop', { now: Boolean(flags['now']) })
  await server.closed
  if (!flags['json']) print(`Stopped ${name} (pid ${pid})`)
  return 0
}
