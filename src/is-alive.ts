// Whether there is a process with a number: of pidfiles and control sockets that a killed server left. A leaf.

/** Signal 0 reaches any live process; EPERM means alive and somebody else's. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
