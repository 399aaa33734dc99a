// A listen() that failed, for the master. Runs in every worker.

import type { Channel } from './channel.ts'

type BindError = NodeJS.ErrnoException & { address?: string; port?: number }

/** With sockets of our own the master knows; from the stock cluster it hears only through us. The application may yet cope with it. */
export function tellBindError(channel: Channel, error: NodeJS.ErrnoException): void {
  const { syscall, code, address, port } = error as BindError
  if (syscall !== 'bind' && syscall !== 'listen') return
  const where = port === undefined ? `unix:${address}` : `${address ?? '*'}:${port}`
  const inUse = code === 'EADDRINUSE'
  const message = inUse
    ? `Connection in use: cannot listen on ${where}: another process has it (EADDRINUSE); stop that process, or pass another --bind`
    : `cannot listen on ${where}: ${code}`
  channel.tell({ type: 'failed', code: inUse ? 'ADDRESS_IN_USE' : 'CANNOT_LISTEN', message })
}
