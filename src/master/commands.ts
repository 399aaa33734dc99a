// What an operator may ask, and how it is answered: one table for the control socket, the CLI and the page. Runs in the master,
// beside its loop: what changes something is put to the loop as an order.

import * as v from 'valibot'
import { commands, isCommandName, type CommandName } from '../commands.ts'
import type { ControlRequest } from '../control-protocol.ts'
import { UserError } from '../errors.ts'
import type { LogEvent } from '../events.ts'
import type { Log } from '../log.ts'
import type { Metrics } from './exposition.ts'
import type { Demand } from './inputs.ts'
import type { Ledger } from './ledger.ts'
import type { Master } from './master.ts'
import type { Order } from './signals.ts'
import { eventItem, type Status } from './status.ts'

/** How an answer reaches who asked. */
export interface Answering {
  /** Who asks, in the words of the log. */
  readonly by: string
  /** Aborted when nobody waits for the answer any more. */
  readonly left: AbortSignal
  /** What is told before the answer. */
  readonly item: (one: unknown) => void
}

export interface CommandParts {
  readonly log: Log
  readonly status: Status
  readonly ledger: Ledger
  readonly metrics: Metrics
  readonly master: Pick<Master, 'state'>
  /** To the loop, or to whoever else is responsible; throws a UserError while an upgrade is under way. */
  readonly order: (order: Order, by: string) => void
  readonly demand: (demand: Demand) => void
}

type Run = (parts: CommandParts, args: never, how: Answering) => unknown

interface Row {
  readonly args: v.GenericSchema
  readonly run: Run
}

const row = <S extends v.GenericSchema>(
  args: S,
  run: (parts: CommandParts, args: v.InferOutput<S>, how: Answering) => unknown,
): Row => ({ args, run })

const flag = v.optional(v.boolean(), false)
const whole = (min: number) => v.pipe(v.number(), v.integer(), v.minValue(min))
const none = v.strictObject({})

const table: Record<CommandName, Row> = {
  status: row(none, ({ status }) => status.server()),
  requests: row(none, ({ status }) => status.requests()),
  events: row(
    v.strictObject({ follow: flag, last: v.optional(whole(0), 100) }),
    ({ ledger }, { follow, last }, how) => tellEvents(ledger, follow, last, how),
  ),
  metrics: row(none, ({ metrics }) => metrics.text()),
  doctor: row(none, (parts) => examineServer(parts)),
  reload: row(v.strictObject({ wait: flag }), (parts, { wait }, how) => reload(parts, wait, how)),
  scale: row(
    v.union([v.strictObject({ to: whole(0) }), v.strictObject({ by: whole(-1_000_000) })]),
    ({ demand }, change) => answered((reply) => demand({ type: 'scale', change, reply })),
  ),
  recycle: row(v.strictObject({ slot: v.optional(whole(0)) }), ({ demand }, { slot }) =>
    answered((reply) => demand({ type: 'recycle', slot, reply })),
  ),
  stop: row(v.strictObject({ now: flag }), ({ order }, { now }, { by }) =>
    order(now ? 'quick-stop' : 'stop', by),
  ),
  reopen: row(none, ({ order }, _, { by }) => order('reopen', by)),
  stack: row(v.strictObject({ slot: v.optional(whole(0)) }), async (parts, { slot }) =>
    (await import('./look.ts')).stacks(parts, slot),
  ),
  profile: row(v.strictObject({ slot: whole(0), seconds: v.number() }), async (parts, args, how) =>
    (await import('./look.ts')).writeFile(parts, { type: 'profile', ...args }, how),
  ),
  heap: row(v.strictObject({ slot: whole(0) }), async (parts, args, how) =>
    (await import('./look.ts')).writeFile(parts, { type: 'heap', ...args }, how),
  ),
}

/** Carries out a command. Rejects with a UserError if there is no such command, its arguments are wrong, or it is refused. */
export async function runCommand(
  parts: CommandParts,
  { command, args = {} }: ControlRequest,
  how: Answering,
): Promise<unknown> {
  if (!isCommandName(command)) throw new UserError('BAD_COMMAND', await unknown(command))
  const { args: schema, run } = table[command]
  const checked = v.safeParse(schema, args)
  if (!checked.success) {
    const [issue] = checked.issues
    const at = v.getDotPath(issue) ?? 'the arguments'
    throw new UserError('BAD_COMMAND', `${command}: ${at}: ${issue.message}`)
  }
  if (commands[command].kind === 'action') parts.log.event('command', { command, args, by: how.by })
  return run(parts, checked.output as never, how)
}

async function unknown(command: string): Promise<string> {
  const { nearest } = await import('../nearest.ts')
  const near = nearest(command, Object.keys(commands))
  return `${JSON.stringify(command)} is not a command${near ? `; did you mean ${near}?` : ''}`
}

/** Resolves in the turn of the loop that hears it. */
const answered = <T>(ask: (reply: (answer: T | UserError) => void) => void): Promise<T> =>
  new Promise((resolve, reject) =>
    ask((answer) => (answer instanceof UserError ? reject(answer) : resolve(answer))),
  )

function tellEvents(
  ledger: Ledger,
  follow: boolean,
  last: number,
  { item, left }: Answering,
): Promise<null> | null {
  for (const event of ledger.recent(last)) item(eventItem(event))
  if (!follow) return null
  const leave = ledger.follow((event) => item(eventItem(event)))
  return new Promise((resolve) =>
    left.addEventListener('abort', () => {
      leave()
      resolve(null)
    }),
  )
}

async function examineServer({ master, status, ledger }: CommandParts): Promise<unknown> {
  const [{ environment }, { examine }, { gatherFacts }] = await Promise.all([
    import('../config.ts'),
    import('../doctor.ts'),
    import('../doctor-facts.ts'),
  ])
  const live = { status: status.server(), crashes: ledger.counters.get('workerCrashed') ?? 0 }
  const { settings } = master.state.config
  // --chdir has been done
  const place = { settings: { ...settings, chdir: '' }, directory: process.cwd() }
  return examine(gatherFacts({ ...place, env: environment(), live }))
}

/** With `wait`: resolves when it is done, rejects when it failed; until then every step is told. */
function reload({ order, ledger }: CommandParts, wait: boolean, how: Answering): unknown {
  if (!wait) return order('reload', how.by)
  return new Promise((resolve, reject) => {
    let begun = false
    const leave = ledger.follow((event) => {
      if (event.name === 'reloading') begun = true // what finishes before is another one, which this one overtakes
      how.item(eventItem(event))
      if (!endsReload(event, begun)) return
      leave()
      if (event.name === 'reloaded') resolve(event.facts)
      else reject(new UserError('RELOAD_FAILED', event.text))
    })
    how.left.addEventListener('abort', leave)
    try {
      order('reload', how.by)
    } catch (error) {
      leave()
      reject(error as Error)
    }
  })
}

const endsReload = ({ name }: LogEvent, begun: boolean): boolean =>
  name === 'reloadFailed' || name === 'stopping' || (begun && name === 'reloaded')
