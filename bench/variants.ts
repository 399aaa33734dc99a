// Builds of ours that differ in one thing: temporary copies of dist/ with a piece of code switched off.

import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tempDir, type Teardown } from '../test/helpers/temp.ts'

const checkout = fileURLToPath(new URL('..', import.meta.url))
export const cli = join(checkout, 'dist', 'cli.cjs')

interface Change {
  readonly what: RegExp
  readonly by: string
}

/** Without the hook on 'request' and on writeHead: no entry, no clock, no slot, no context. */
const UNTRACKED: readonly Change[] = [
  {
    what: /if \(event === "request"/g,
    by: 'if (event === "request") return Reflect.apply(emit, this, arguments);\nif (event === "request"',
  },
  { what: /tracker\.hookResponses\(\(.*;/g, by: '' },
]

/** Without the watchdog's thread. */
const UNWATCHED: readonly Change[] = [
  { what: /(?<!function )startWatchdog\(board,/g, by: '(() => undefined)(board,' },
]

/** The CLI of a copy; the copy goes away with `t`. Throws if the code to switch off is not there exactly once. */
function variant(t: Teardown, changes: readonly Change[]): string {
  const dir = tempDir(t)
  cpSync(join(checkout, 'dist'), join(dir, 'dist'), { recursive: true })
  cpSync(join(checkout, 'package.json'), join(dir, 'package.json'))
  symlinkSync(join(checkout, 'node_modules'), join(dir, 'node_modules'))
  const file = join(dir, 'dist', 'worker.cjs')
  const text = changes.reduce(
    (code, { what, by }) => {
      const found = code.match(what)?.length ?? 0
      if (found !== 1)
        throw new Error(`${what} is ${found} times in dist/worker.cjs; bench/variants.ts wants 1`)
      return code.replace(what, by)
    },
    readFileSync(file, 'utf8'),
  )
  writeFileSync(file, text)
  return join(dir, 'dist', 'cli.cjs')
}

export const untracked = (t: Teardown): string => variant(t, UNTRACKED)
export const unwatched = (t: Teardown): string => variant(t, UNWATCHED)
