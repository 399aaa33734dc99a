// The signals of a command that draws or waits: somebody ends it, the terminal changes, the shell stops and continues it.
// Runs in the CLI.

type Heard = 'SIGINT' | 'SIGTERM' | 'SIGTSTP' | 'SIGCONT'

/** What a shell shows for a command that a signal has ended. */
export const STATUS = { SIGINT: 130, SIGTERM: 143 } as const

/** Instead of what the system would do. The result gives it back to the system. */
export function onSignal(signal: Heard, hear: () => void): () => void {
  process.on(signal, hear)
  return () => void process.off(signal, hear)
}

/**
 * Stops this command and whoever started it together with it, such as npx, as Ctrl-Z would. Returns when it goes on; at once
 * where there is no shell that could continue it. Nobody may listen for SIGTSTP.
 */
export const suspend = (): void => void process.kill(0, 'SIGTSTP')
