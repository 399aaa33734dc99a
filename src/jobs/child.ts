// The process that a job's code runs in with `isolation: 'process'`: one job at a time. Started by children.ts, whose end is its own;
// its argument is the file that defines the jobs.
import { EventEmitter } from 'node:events'
import {
  describe,
  execute,
  type FromThread,
  type JobTable,
  type Line,
  type Outcome,
  type Task,
  type ToThread,
} from './execute.ts'

export type ToChild =
  | { readonly type: 'describe' }
  | { readonly type: 'run'; readonly task: Omit<Task, 'port'> }
  | ToThread

export type FromChild =
  | FromThread
  | { readonly type: 'table'; readonly table: JobTable }
  | { readonly type: 'outcome'; readonly outcome: Outcome }
  /** Nobody has caught it, or the file can't be loaded: the child is of no more use. */
  | { readonly type: 'broken'; readonly message: string }

const file = process.argv[2]!
/** What is posted is sent at once: a job may never let the loop turn again. */
class Port extends EventEmitter<{ message: [ToThread] }> implements Line {
  postMessage(message: FromThread): void {
    send(message)
  }

  close(): void {
    this.removeAllListeners()
  }
}
let port = new Port()

const send = (message: FromChild): void => void process.send?.(message)
const broken = (error: unknown): void =>
  send({ type: 'broken', message: error instanceof Error ? error.message : String(error) })

function hear(message: ToChild): void {
  switch (message.type) {
    case 'describe':
      describe(file).then((table) => send({ type: 'table', table }), broken)
      return
    case 'run': {
      port = new Port()
      execute(file, { ...message.task, port }).then(
        (outcome) => send({ type: 'outcome', outcome }),
        broken,
      )
      return
    }
    case 'abort':
    case 'ended':
      return void port.emit('message', message)
  }
}

process.title = 'supervisor: job'
process.on('message', hear)
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.stack ?? String(error)}\n`)
  broken(error)
})
process.on('disconnect', () => process.exit(1))
