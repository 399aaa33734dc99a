// Directories and unix sockets that go away with the test.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { mkdirSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** What we use of vitest's test context. */
export interface Teardown {
  onTestFinished(fn: () => void | Promise<void>): void
}

/** An empty directory, with the given files (path -> text) in it; removed after the test. */
export function tempDir(t: Teardown, files: Readonly<Record<string, string>> = {}): string {
  // Short and real: the path of a unix socket may have 103 characters on macOS, and its /tmp is a link.
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'sv-')))
  t.onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), text)
  }
  return dir
}

/** A path at which nothing listens yet. */
export const socketPath = (t: Teardown): string => join(tempDir(t), 'app.sock')
