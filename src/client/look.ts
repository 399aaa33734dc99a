// `supervisor stack`, `profile` and `heap`: what a worker is at, on the terminal or in a file of the directory where the command
// was given. Runs in the CLI.

import { accessSync, constants, createWriteStream, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { FileLook, StackLook } from '../control-protocol.ts'
import { UserError } from '../errors.ts'
import { usage, wholeNumber, type Call } from './call.ts'
import { count, duration, harmless, size } from './format.ts'

/** Whoever stands still for so long is blocked, s. */
const BLOCKED_SECONDS = 1
const DEFAULT_SECONDS = 10
const EVERY_MS = 500
const CLEAR = '\r\x1b[K'

export async function stack(call: Call): Promise<number> {
  const { server, words, flags, print } = call
  const slot = words.length > 0 ? slotOf(call, 'stack') : undefined
  const looks = await server.ask<StackLook[]>('stack', { ...(slot !== undefined && { slot }) })
  if (flags['json']) print(JSON.stringify(looks, null, 2))
  else for (const line of looks.flatMap(stackView)) print(line)
  return looks.some((look) => !('error' in look)) ? 0 : 1
}

/** `worker 0 (pid 5120): blocked for 3.8s in GET /x`, then where, innermost first. */
export function stackView(look: StackLook): string[] {
  const who = `worker ${look.slot} (pid ${look.pid})`
  if ('error' in look) return [`${who}: ${harmless(look.error)}`]
  const { state, still, stack, request, oldest } = look
  const [first, ...others] = oldest
  const doing = {
    idle: 'idle',
    running: still < BLOCKED_SECONDS ? 'running' : `blocked for ${duration(still)}`,
    native: `${still < BLOCKED_SECONDS ? '' : `blocked for ${duration(still)} `}in native code, or without a processor`,
  }[state]
  const where = request
    ? ` in ${request.method} ${request.url}`
    : first
      ? `; oldest request: ${first.method} ${first.url}, ${duration(first.age)}${others.length > 0 ? ` (and ${others.length} more)` : ''}`
      : '; no requests in flight'
  return [harmless(`${who}: ${doing}${where}`), ...stack.map((line) => `    ${harmless(line)}`)]
}

export async function profile(call: Call): Promise<number> {
  const seconds = wholeNumber(call.flags, 'seconds', 1) ?? DEFAULT_SECONDS
  return await fetchFile(call, 'profile', { seconds })
}

export const heap = (call: Call): Promise<number> => fetchFile(call, 'heap', {})

const ENDINGS = { profile: 'cpuprofile', heap: 'heapsnapshot' }

/** The worker writes the file where only it may; here it becomes ours. */
async function fetchFile(
  call: Call,
  command: 'profile' | 'heap',
  args: { seconds?: number },
): Promise<number> {
  const { server, flags, print, directory } = call
  const slot = slotOf(call, command)
  mustBeWritable(directory)
  const what =
    command === 'profile'
      ? `Profiling worker ${slot} for ${args.seconds}s`
      : `Taking the heap of worker ${slot}, which answers nobody meanwhile`
  const end = showWait(what)
  const look = await server.ask<FileLook>(command, { slot, ...args }).finally(end)
  const name = fileName(server.hello.name, slot, new Date(), ENDINGS[command])
  await copy(look.file, join(directory, name))
  rmSync(dirname(look.file), { recursive: true, force: true })
  if (flags['json']) print(JSON.stringify({ ...look, file: join(directory, name) }))
  else print(`${name}: ${fileSize(look.bytes)}${detail(look)}; open it in Chrome's developer tools`)
  return 0
}

/** Its directory is the worker's user's: what is there now need not be what was written. */
async function copy(from: string, to: string): Promise<void> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  const source = await open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    if (!(await source.stat()).isFile()) throw new Error(`${from} is not a file any more`)
    const target = createWriteStream(to, { flags: 'wx', mode: 0o600 })
    await pipeline(source.createReadStream({ autoClose: false }), target)
  } finally {
    await source.close()
  }
}

const fileSize = (bytes: number): string =>
  bytes < 1024 ** 2 ? `${Math.ceil(bytes / 1024)}kB` : size(bytes)

const detail = ({ samples, seconds }: FileLook): string =>
  samples !== undefined
    ? `, ${count(samples)} samples`
    : seconds !== undefined
      ? `, the worker stood still for ${duration(seconds)}`
      : ''

/** `nodicorn-shop-0-20261123T140305.cpuprofile`, in local time. */
export function fileName(app: string, slot: number, at: Date, ending: string): string {
  const two = (n: number): string => String(n).padStart(2, '0')
  const day = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(two).join('')
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join('')
  return `nodicorn-${app.replace(/[^\w.-]/g, '_')}-${slot}-${day}T${time}.${ending}`
}

function slotOf({ words: [text = ''] }: Call, command: 'stack' | 'profile' | 'heap'): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new UserError(
    'BAD_COMMAND',
    `${text === '' ? 'say which worker' : `${JSON.stringify(text)} is not a slot`}: ${usage(command)}`,
  )
}

/** Before anything is measured. */
function mustBeWritable(directory: string): void {
  try {
    accessSync(directory, constants.W_OK)
  } catch (error) {
    const why = (error as Error).message
    throw new UserError('NO_PERMISSION', `the file would be written here, and can't be: ${why}`)
  }
}

/** On standard error: a line that counts the seconds on a terminal, one that stays elsewhere. The result ends it. */
function showWait(what: string): () => void {
  const { stderr } = process
  if (!stderr.isTTY) {
    stderr.write(`${what}\n`)
    return () => undefined
  }
  const began = performance.now()
  const draw = (): void =>
    void stderr.write(`${CLEAR}${what}: ${duration((performance.now() - began) / 1000)}`)
  draw()
  const timer = setInterval(draw, EVERY_MS)
  return () => {
    clearInterval(timer)
    stderr.write(CLEAR)
  }
}
