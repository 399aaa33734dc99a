// Whether the log names the function and the line of the source where a loop stands still, in JavaScript and TypeScript.

import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fixtures } from '../../test/helpers/server.ts'
import { apps } from '../servers.ts'
import { endOf, ours, type Bench } from './bench.ts'

const APPS = [
  { language: 'JavaScript', file: join(fixtures, 'blocking.js') },
  { language: 'TypeScript', file: join(apps, 'blocking.ts') },
]

/** The request, and the function that stands still in it. */
const CASES: Readonly<Record<string, string>> = {
  '/while': 'spinForever',
  '/regex': 'backtrack',
  '/atomics': 'waitForNobody',
  '/microtasks': 'starveTimers',
  '/after-await': 'spinForever',
  '/timer': 'spinForever',
  '/immediate': 'spinForever',
}

export async function stacks(bench: Bench): Promise<void> {
  for (const { language, file } of APPS) {
    const wrong: string[] = []
    const said: string[] = []
    for (const [path, name] of Object.entries(CASES)) {
      const place = await placeInLog(bench, file, path)
      said.push(`${path} ${place}`)
      if (!linesOf(file, name).some((line) => place === `${name} ${basename(file)}:${line}`))
        wrong.push(`${path}: ${place}`)
    }
    bench.report.add({
      part: 'stack',
      what: `${language}: the log names the function and its line`,
      bound: 'in every case',
      seen: `${said.length - wrong.length} of ${said.length}${wrong.map((one) => `; ${one}`).join('')}`,
      isMet: wrong.length === 0,
      data: said,
    })
  }
}

/** Where the source says `// name stands here`; an async function that is being resumed stands, for V8, at its first line. */
function linesOf(file: string, name: string): number[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  const marked = lines.findIndex((line) => line.endsWith(`// ${name} stands here`)) + 1
  const first = lines.findIndex((line) => line.startsWith(`async function ${name}(`)) + 1
  return first > 0 ? [marked, first] : [marked]
}

/** `spinForever blocking.js:16`, as the sentence of the log says. */
function placeInLog({ node, site }: Bench, file: string, path: string): Promise<string> {
  return site.part(async (t) => {
    const server = await ours(t, node, file, ['--timeout', '0.6'])
    await endOf(server.url, path, 20_000)
    const { msg } = await server.log(/^WORKER TIMEOUT/)
    // `Timeout.spinForever [as _onTimeout]` is how V8 calls it there.
    const [, name, place] =
      /, at (?:async )?(?:\w+\.)?(\w+)(?: \[as \w+\])? \(.*\/([^/]+:\d+):\d+\);/.exec(msg) ?? []
    return name === undefined ? msg : `${name} ${place}`
  })
}
