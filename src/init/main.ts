// `supervisor init`: what was asked for -> texts, and texts -> files that were not there before. Runs in the CLI, which imports it
// only for this command; it is no part of the bundle.
import { mkdirSync, writeFileSync, existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ConfigErrors, UserError } from '../errors.ts'
import { initTargets, isInitTarget, type InitTarget } from '../init-targets.ts'
import type { Made } from './derived.ts'

export interface InitPlace {
  /** Absolute: where the files go. */
  readonly directory: string
  readonly print: (text: string) => void
  readonly complain: (line: string) => void
}

/** Answers the exit status. What is wrong is said by `complain`, a line each, and nothing is written then. */
export async function runInit(words: readonly string[], place: InitPlace): Promise<number> {
  try {
    const { print, from, rest } = wordsOf(words)
    const made = from === undefined ? await make(rest, place) : await take(from, rest, place)
    if (print) place.print(asOneText(made))
    else write(made, place)
    return 0
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    for (const line of error instanceof ConfigErrors ? error.lines : [error.message])
      place.complain(line)
    return error.exit
  }
}

interface Asked {
  readonly print: boolean
  readonly from: string | undefined
  readonly rest: readonly string[]
}

function wordsOf(words: readonly string[]): Asked {
  const rest: string[] = []
  let print = false
  let from: string | undefined
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    if (word === '--print') print = true
    else if (word === '--from' || word.startsWith('--from=')) {
      from = word === '--from' ? words[++at] : word.slice('--from='.length)
      if (!from) throw bad(`--from needs a file: supervisor init --from gunicorn.conf.py`)
    } else if (word === '--') {
      rest.push(...words.slice(at))
      break
    } else rest.push(word)
  }
  return { print, from, rest }
}

async function make([target = '', ...words]: readonly string[], place: InitPlace): Promise<Made> {
  if (!isInitTarget(target)) throw bad(await unknownTarget(target))
  const { gather } = await import('./facts.ts')
  const { targets } = await import('./targets.ts')
  const facts = await gather(words, place.directory)
  const made = targets[target](facts)
  const { hasServer, add } = facts.packages
  if (hasServer || !needsPackage(target)) return made
  return { ...made, first: `First: ${add}, as package.json does not name it.` }
}

/** The others stand in front of a server, wherever that comes from. */
const needsPackage = (target: InitTarget): boolean => !['nginx', 'haproxy'].includes(target)

async function take(from: string, rest: readonly string[], place: InitPlace): Promise<Made> {
  if (rest.length > 0)
    throw bad(`${JSON.stringify(rest[0])} is one argument too many: --from stands alone`)
  const { takeFrom } = await import('./from/main.ts')
  return takeFrom(from, place.directory)
}

async function unknownTarget(word: string): Promise<string> {
  const all = Object.keys(initTargets)
  if (word === '') return `a target is missing: supervisor init ${all.join('|')}, or --from FILE`
  const { nearest } = await import('../nearest.ts')
  const near = nearest(word, all)
  return `${JSON.stringify(word)} is nothing that init can write; ${near ? `did you mean ${near}?` : `it can write ${all.join(', ')}`}`
}

const bad = (message: string): UserError => new UserError('BAD_COMMAND', message)

/** One file as it is, several with their names before them. */
function asOneText({ files }: Made): string {
  const all = Object.entries(files)
  if (all.length === 1) return all[0]![1]
  return all
    .map(([path, text]) => `${path.endsWith('.ts') ? '//' : '#'} --- ${path}\n${text}`)
    .join('\n')
}

/** All of them or none. */
function write({ files, first, next }: Made, { directory, print }: InitPlace): void {
  const paths = Object.keys(files)
  for (const path of paths) if (existsSync(join(directory, path))) throw exists(path)
  for (const [path, text] of Object.entries(files)) writeNew(directory, path, text)
  const done = [`Wrote ${paths.join(' and ')}.`, ...(first ? [first] : [])].join(' ')
  print([done, ...next, ''].join('\n'))
}

function writeNew(directory: string, path: string, text: string): void {
  const file = join(directory, path)
  try {
    mkdirSync(dirname(file), { recursive: true })
  } catch (error) {
    throw cannotWrite(path, error) // EEXIST too: a file is where the directory should be
  }
  try {
    writeFileSync(file, text, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw exists(path, error)
    throw cannotWrite(path, error)
  }
}

const cannotWrite = (path: string, cause: unknown): UserError =>
  new UserError('CANNOT_WRITE', `${path} cannot be written: ${(cause as Error).message}`, { cause })

const exists = (path: string, cause?: unknown): UserError =>
  new UserError(
    'FILE_EXISTS',
    `${path} is there already, and init never overwrites; remove it, or add --print to see what it would be`,
    { cause },
  )
