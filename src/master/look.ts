// The commands that look into workers: their stacks, and profiles and heap snapshots in files of their own, which are there until
// whoever asked hangs up. Runs in the master, imported only for them.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fs } from '../builtin.ts'
import type { FileLook, StackLook } from '../control-protocol.ts'
import { UserError } from '../errors.ts'
import type { Question } from '../inspection.ts'
import type { Log } from '../log.ts'
import type { Answering } from './commands.ts'
import { Inspection } from './inspection.ts'
import type { Master } from './master.ts'
import type { WorkerHandle } from './worker-handle.ts'

export interface LookParts {
  readonly log: Log
  readonly master: Pick<Master, 'state'>
}

/** Of the worker in `slot`, which rejects as Inspection.ask() does; or of all, each with its stack or why there is none. */
export async function stacks(
  { log, master }: LookParts,
  slot: number | undefined,
): Promise<StackLook[]> {
  const inspection = new Inspection(log)
  const one = slot === undefined ? undefined : inSlot(master, slot)
  const workers = one ? [one] : servingIn(master)
  return Promise.all(
    workers.map(async (worker): Promise<StackLook> => {
      const { slot, pid } = worker
      return inspection.ask(worker, { type: 'stack' }).then(
        (answer) => ({ slot, pid, ...answer }),
        (error: unknown) => {
          if (one || !(error instanceof UserError)) throw error
          return { slot, pid, error: error.message }
        },
      )
    }),
  )
}

/** Rejects as Inspection.ask() does. The file is gone when who asked has `left`. */
export async function writeFile(
  { log, master }: LookParts,
  { slot, ...what }: { slot: number } & ({ type: 'profile'; seconds: number } | { type: 'heap' }),
  { left }: Pick<Answering, 'left'>,
): Promise<FileLook> {
  const worker = inSlot(master, slot)
  const directory = privateDirectory(worker.pid)
  const remove = (): void => fs.rmSync(directory, { recursive: true, force: true })
  left.addEventListener('abort', remove, { once: true })
  try {
    const question = { ...what, file: join(directory, what.type) } satisfies Question
    const answer = await new Inspection(log).ask<Question>(worker, question)
    // who asked may have left meanwhile, and the worker has gone on writing
    if (left.aborted) remove()
    return { slot, pid: worker.pid, ...(answer as Omit<FileLook, 'slot' | 'pid'>) }
  } catch (error) {
    remove()
    throw error
  }
}

const servingIn = (master: LookParts['master']): WorkerHandle[] =>
  master.state.crew.all
    .filter(({ state }) => state === 'ready' || state === 'draining')
    .sort((one, other) => one.slot - other.slot)

function inSlot(master: LookParts['master'], slot: number): WorkerHandle {
  const workers = servingIn(master)
  const all = workers.filter((worker) => worker.slot === slot)
  const found = all.find(({ state }) => state === 'ready') ?? all[0]
  if (found) return found
  const slots = [...new Set(workers.map((worker) => worker.slot))].join(', ')
  throw new UserError(
    'BAD_COMMAND',
    `no worker is ready in slot ${slot}; there are ${slots || 'none'}`,
  )
}

/** For the worker alone, and for root. It writes as its own user, which the master need not be. */
function privateDirectory(pid: number): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'nodicorn-look-'))
  const [uid, gid] = ['Uid', 'Gid'].map((name) => idOf(pid, name))
  if (process.getuid?.() === 0 && uid && gid !== undefined) fs.chownSync(directory, uid, gid)
  return directory
}

/** The effective one; undefined where there is no /proc. */
function idOf(pid: number, name: string): number | undefined {
  try {
    const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
    const id = new RegExp(`^${name}:\\s+\\d+\\s+(\\d+)`, 'm').exec(status)?.[1]
    return id === undefined ? undefined : Number(id)
  } catch (error) {
    // ENOENT, ESRCH: not Linux, or it has just ended, which the question will find out
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return undefined
  }
}
