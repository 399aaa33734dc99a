// What the files of `supervisor init` are made from: the settings, the app, its package manager and its Node. Runs in the CLI.
import { readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { type ServeAddress, tryAddress } from '../address.ts'
import { findApp } from '../app-file.ts'
import { parseWords } from '../argv.ts'
import { loadConfig } from '../config.ts'
import type { SettingName, Settings } from '../settings.ts'
import { shellWords } from '../shell-words.ts'
import { type Certificate, certificateOf } from './certificate.ts'
import { jobsOf, type JobsPlace } from './jobs.ts'
import { type Manifest, packagesOf, type Packages } from './packages.ts'

export interface Facts {
  /** Of lower case letters, digits and hyphens, at most 32; it begins with a letter. */
  readonly name: string
  /** Absolute: where the command was given. */
  readonly directory: string
  /** After `supervisor`: start app.js --workers 2 */
  readonly words: readonly string[]
  readonly settings: Settings
  /** Not by its default. */
  readonly isSet: (name: SettingName) => boolean
  /** The first address, as somebody else on this machine reaches it; paths are absolute. */
  readonly address: ServeAddress
  readonly packages: Packages
  readonly jobs: JobsPlace | undefined
  /** Of the app itself; undefined where it speaks no TLS. */
  readonly certificate: Certificate | undefined
  /** The major version for images. */
  readonly node: number
  /** Of the Node that runs this. */
  readonly nodeDirectory: string
}

/**
 * Variables of the shell are not looked at: where the files are used there are others.
 * @param words as after `supervisor start`
 * @throws ConfigErrors, UserError APP_NOT_FOUND
 */
export async function gather(words: readonly string[], directory: string): Promise<Facts> {
  const manifest = manifestOf(directory)
  const all = await withApp(words, directory, manifest)
  const { settings, sources } = await loadConfig({ argv: all, env: {}, cwd: directory })
  return {
    name: nameOf(settings.name || manifest.name || basename(directory)),
    directory,
    words: ['start', ...all],
    settings,
    isSet: (name) => sources[name] !== 'default',
    address: addressOf(settings, directory),
    packages: packagesOf(directory, manifest),
    jobs: jobsOf(settings, directory, manifest),
    certificate: certificateOf(settings, directory),
    node: nodeOf(manifest.engines?.node ?? textOf(join(directory, '.nvmrc')) ?? ''),
    nodeDirectory: dirname(process.execPath),
  }
}

/** The words with the app among them: the one that was given, that of `npm start`, or that of package.json. */
async function withApp(
  words: readonly string[],
  directory: string,
  manifest: Manifest,
): Promise<readonly string[]> {
  const { file, unknown, problems } = parseWords(words)
  if (unknown.length + problems.length > 0) return words // loadConfig says what is wrong
  if (file !== undefined) {
    await findApp(file, directory)
    return words
  }
  const script = startScript(manifest.scripts?.start ?? '')
  if (script) return [...script, ...words]
  const found = await findApp(undefined, directory)
  return [relative(directory, found.file), ...words]
}

/** `NODE_ENV=production node app.js` -> app.js; what follows in `supervisor start app.js --workers 2`. */
function startScript(script: string): readonly string[] | undefined {
  const words = shellWords(script)?.filter((word, at, all) => !isAssignment(word, all.slice(0, at)))
  const [program = '', ...rest] = words ?? []
  if (/^(supervisor|nodicorn)$/.test(program) && rest[0] === 'start') return rest.slice(1)
  const [file = '', ...more] = rest
  return program === 'node' && /^[^-].*\.[cm]?[jt]s$/.test(file) && more.length === 0
    ? [file]
    : undefined
}

const isAssignment = (word: string, before: readonly string[]): boolean =>
  [...before, word].every((one) => /^\w+=/.test(one) || one === 'cross-env')

const manifestOf = (directory: string): Manifest => {
  const text = textOf(join(directory, 'package.json'))
  const content: unknown = text === undefined ? {} : JSON.parse(text)
  return typeof content === 'object' && content !== null ? content : {}
}

/** Undefined if there is no such file. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    // ENOENT, ENOTDIR: it need not be there
    if (!['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    return undefined
  }
}

/** `@acme/The Shop` -> the-shop */
export const nameOf = (text: string): string =>
  text
    .toLowerCase()
    .replace(/^@[^/]*\//, '')
    .replace(/[^a-z\d]+/g, '-')
    .replace(/^[\d-]+/, '')
    .slice(0, 32)
    .replace(/-+$/, '') || 'app'

/** The newest LTS, unless the range says otherwise: `20.x`, `^22.1`, `>=20 <23`. */
export function nodeOf(range: string): number {
  const [, sign = '', digits = ''] = /(>=?|[~^])?\s*v?(\d+)/.exec(range) ?? []
  const below = /<\s*(\d+)/.exec(range)?.[1]
  if (below !== undefined) return Math.max(OLDEST, Math.min(LTS, Number(below) - 1))
  if (digits === '' || range.includes('||')) return LTS
  const major = Number(digits)
  return sign.startsWith('>') ? Math.max(LTS, major) : Math.max(OLDEST, major)
}
const LTS = 24
const OLDEST = 20

function addressOf({ bind }: Settings, directory: string): ServeAddress {
  const address = tryAddress(bind[0] ?? '')
  if (address?.type === 'unix') return { type: 'unix', path: resolve(directory, address.path) }
  if (address?.type !== 'tcp') return { type: 'tcp', host: '127.0.0.1', port: 8000 }
  const near: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  return { ...address, host: near[address.host] ?? address.host }
}
