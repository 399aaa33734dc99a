// What operators see and steer the server by: the ledger from the first event on, the rest from when it is open. Runs in the
// master, beside its loop.

import { environment, type StartRequest } from '../config.ts'
import type { Log } from '../log.ts'
import type { Settings } from '../settings.ts'
import type { Admin, AdminParts } from './admin.ts'
import type { CommandParts } from './commands.ts'
import type { Control } from './control.ts'
import type { Metrics } from './exposition.ts'
import { Ledger } from './ledger.ts'
import type { Master } from './master.ts'
import type { Sockets } from './sockets.ts'
import type { Order } from './signals.ts'
import type { Pushers } from './pushers.ts'
import type { Service, ServiceParts } from './service.ts'
import type { Identity, StatusParts } from './status.ts'
import type { Succession } from './succession.ts'

/** A start that takes so long is worth a look; before, loading all this would take time from the first worker's boot, ms. */
const OPEN_MS = 1_000

export interface OperationsParts
  extends Pick<StatusParts, 'master'>, Pick<CommandParts, 'order' | 'demand'> {
  readonly log: Log
  readonly sockets: Sockets
  readonly identity: Identity
  readonly settings: Pick<Settings, 'controlSocket' | 'pidfile'>
  readonly runtimeDir: string | undefined
  /** The command's, where systemd wants to know how it is. */
  readonly systemd: Pick<ServiceParts, 'env' | 'isSucceeded'> | undefined
}

export class Operations {
  readonly ledger = new Ledger()
  #state: 'closed' | 'opening' | 'open' | 'over' = 'closed'
  #control: Control | undefined
  #admin: Admin | undefined
  #metrics: Metrics | undefined
  #pushers: Pushers | undefined
  #service: Promise<Service> | undefined
  #timer: NodeJS.Timeout | undefined

  /** From here on every event of `log` is known. */
  constructor(log: Log) {
    log.onEvent = (event) => this.ledger.hear(event)
  }

  /** In a moment; open() does it at once. */
  openSoon(parts: OperationsParts): void {
    this.#timer = setTimeout(() => void this.open(parts), OPEN_MS).unref()
  }

  /** Again it does nothing. `predecessor`: the pid of the master that this one replaces. */
  async open(parts: OperationsParts, predecessor?: number): Promise<void> {
    clearTimeout(this.#timer)
    if (this.#state !== 'closed') return
    this.#state = 'opening'
    if (process.pid === 1)
      void import('./zombies.ts').then(({ watchZombies }) => watchZombies(parts.log))
    this.#service = parts.systemd && this.#tellSystemd(parts, parts.systemd)
    const [{ Control }, { runCommand }, { Status }, { Metrics }, { Pushers }] = await Promise.all([
      import('./control.ts'),
      import('./commands.ts'),
      import('./status.ts'),
      import('./exposition.ts'),
      import('./pushers.ts'),
    ])
    if (this.#state !== 'opening') return
    const { identity, ...others } = parts
    const { ledger } = this
    const status = new Status({ ...parts, ledger })
    const metrics = (this.#metrics = new Metrics({ ...parts, ledger, status }))
    const commandParts = { ...others, ledger, status, metrics }
    const run: AdminParts['run'] = (request, how) => runCommand(commandParts, request, how)
    this.#control = new Control({
      ...others,
      hello: identity,
      directory: identity.directory,
      run,
    })
    this.#state = 'open'
    const settings = (): Settings => parts.master.state.config.settings
    this.#pushers = new Pushers({ log: parts.log, ledger, metrics, settings, identity })
    const forAdmin = { ...others, ledger, status, run, metrics: () => metrics.text() }
    const admin = this.#openAdmin(forAdmin, predecessor)
    await Promise.all([this.#control.open(predecessor), this.#pushers.open(), admin])
  }

  async #tellSystemd(
    { log, master }: OperationsParts,
    systemd: NonNullable<OperationsParts['systemd']>,
  ): Promise<Service> {
    const { Service } = await import('./service.ts')
    return new Service({ ...systemd, log, master, ledger: this.ledger })
  }

  async #openAdmin(parts: AdminParts, predecessor?: number): Promise<void> {
    if (parts.master.state.config.settings.admin === '') return
    const { makeAdmin } = await import('./admin.ts')
    if (this.#state !== 'open') return
    this.#admin = makeAdmin(parts)
    await this.#admin?.open(predecessor)
  }

  /** Who asks has the last answers; files go. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#state = 'over'
    this.#control?.close()
    await this.#admin?.close()
    await this.#pushers?.close()
    this.#metrics?.close()
    await (await this.#service)?.close()
  }
}

/** Orders and demands of commands go where signals go, but are refused while an upgrade is under way. */
export function operationsParts(
  { config, directory, command }: StartRequest,
  parts: Pick<OperationsParts, 'log' | 'sockets' | 'master'> & {
    name: string
    version: string
    master: Pick<Master, 'post'>
    succession: Succession
    obey: (order: Order, by: string, name: undefined) => void
  },
): OperationsParts {
  const { succession, obey, master, log, sockets, name, version } = parts
  return {
    log,
    sockets,
    master,
    identity: { name, version, directory },
    settings: config.settings,
    runtimeDir: environment()['XDG_RUNTIME_DIR'],
    systemd: command?.env['NOTIFY_SOCKET']
      ? { env: command.env, isSucceeded: () => succession.isSucceeded }
      : undefined,
    order(order, by) {
      succession.refuse(order)
      obey(order, by, undefined)
    },
    demand(demand) {
      succession.refuse(demand.type)
      master.post(demand)
    },
  }
}
