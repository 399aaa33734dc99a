// The inspector's view of the main thread: asks it, also when it is stuck in JavaScript. Runs in the watchdog thread. The
// inspector opens no port for that, and costs nothing before and after.

import type { InspectorNotification } from 'node:inspector'
import { inspector } from '../builtin.ts'

export class InspectorError extends Error {}

interface Reply {
  readonly result?: { readonly value?: unknown }
  readonly exceptionDetails?: {
    readonly text: string
    readonly exception?: { readonly description?: string }
  }
}

export class MainSession {
  readonly #session = new (inspector().Session)()

  constructor() {
    this.#session.connectToMainThread()
  }

  on<P>(event: string, listener: (parameters: P) => void): void {
    this.#session.on(event, ({ params }: InspectorNotification<P>) => listener(params))
  }

  once<P>(event: string, listener: (parameters: P) => void): void {
    this.#session.once(event, ({ params }: InspectorNotification<P>) => listener(params))
  }

  /** Without waiting for an answer. */
  post(method: string, parameters: object = {}): void {
    this.#session.post(method, parameters)
  }

  /**
   * Resolves when the main thread comes to it, which may be never. Rejects with an InspectorError, also when what is evaluated
   * throws.
   */
  ask<A = unknown>(method: string, parameters: object = {}): Promise<A> {
    return new Promise((resolve, reject) =>
      this.#session.post(method, parameters, (error: Error | null, reply: Reply = {}) => {
        const problem = error?.message ?? thrown(reply)
        if (problem === undefined) resolve(reply as A)
        else reject(new InspectorError(problem))
      }),
    )
  }

  /** The value of the expression, by ask(). */
  async evaluate(expression: string): Promise<unknown> {
    const parameters = { expression, returnByValue: true }
    return (await this.ask<Reply>('Runtime.evaluate', parameters)).result?.value
  }

  /** Lets go of it. A session left open would keep the process from ending, or say so on stderr. */
  leave(): void {
    this.#session.post('Debugger.disable')
    this.#session.disconnect()
  }
}

/** `Error: EACCES: permission denied`, the first line of what was thrown. */
const thrown = ({ exceptionDetails }: Reply): string | undefined =>
  exceptionDetails &&
  (exceptionDetails.exception?.description?.split('\n')[0] ?? exceptionDetails.text)

/** Also ERR_INSPECTOR_...: not connected, not available. */
export const isInspectors = (error: unknown): error is Error =>
  error instanceof InspectorError ||
  String((error as NodeJS.ErrnoException).code).startsWith('ERR_INSPECTOR_')
