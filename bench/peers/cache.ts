// Packages that are compared with and never depended on: in a cache directory, in pinned versions.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { LeftOut } from './peer.ts'

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'nodicorn-bench')

/** Where a package and its companions are, or will be; `name` is the directory of this set. */
export const directoryOf = (name: string): string => join(cache, name, 'node_modules')

/** By the npm of that Node, if it has one. Throws LeftOut when the registry cannot be reached. */
export function install(name: string, node: string, ...packages: string[]): void {
  const [first] = packages
  if (existsSync(join(directoryOf(name), first!.replace(/(?!^)@.*/, ''), 'package.json'))) return
  const dir = join(cache, name)
  mkdirSync(dir, { recursive: true })
  const args = ['i', '--prefix', dir, '--no-audit', '--no-fund', ...packages]
  try {
    const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` }
    execFileSync('npm', args, { cwd: cache, env, stdio: 'pipe', timeout: 300_000 })
  } catch (error) {
    throw new LeftOut(`npm could not install it: ${reasonOf(error as Error)}`)
  }
}

/** npm's own words rather than Node's. */
const reasonOf = ({ message }: Error): string =>
  /^npm error (?!code|A complete)(.*)$/m.exec(message)?.[1] ?? message.split('\n')[0]!
