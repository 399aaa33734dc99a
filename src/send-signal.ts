// How the processes that we started are sent signals: whoever is gone already needs none. A leaf.

/** `target`: a pid, or minus a pid for its process group. */
export function sendSignal(target: number, signal: NodeJS.Signals): void {
  if (target === 0) return
  try {
    process.kill(target, signal)
  } catch (error) {
    // ESRCH: it, or its group, is gone already; EPERM: on macOS, a group of zombies
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}

/** SIGKILL for the leader of a process group, and for everything it has started. */
export function killGroup(leader: number): void {
  sendSignal(-leader, 'SIGKILL')
  sendSignal(leader, 'SIGKILL')
}
