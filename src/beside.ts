// Preloaded into each `entry` of the setting `processes`: ends it when its master is gone. Runs in processes of groups. A leaf.

/** What it still has to do may take so long, ms; then nobody is there to wait for it. */
const AFTER_MASTER_MS = 1_000

process.channel?.unref() // it may end when it has nothing more to do
process.on('disconnect', () => {
  process.kill(process.pid, 'SIGTERM')
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), AFTER_MASTER_MS).unref()
})

export {}
