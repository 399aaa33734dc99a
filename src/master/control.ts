// The control socket: a unix socket by which `supervisor status` and its like reach the master. JSON, a line a message, several
// clients. Where it can't be made there is none, and the server serves on. Runs in the master.

import net from 'node:net'
import { dirname, join } from 'node:path'
import { fs } from '../builtin.ts'
import {
  CONTROL_VERSION,
  MAX_MESSAGE,
  type ControlAnswer,
  type ControlRequest,
} from '../control-protocol.ts'
import {
  LONGEST_PATH,
  besidePidfile,
  controlName,
  leftIn,
  runtimeDirectory,
} from '../control-place.ts'
import { UserError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Settings } from '../settings.ts'
import type { Answering } from './commands.ts'
import { inodeOf, listenWithRights } from './socket-file.ts'

/** A client that does not read has no more than this waiting for it, bytes. */
const MOST_UNREAD = 8 << 20
const OWN_ONLY = 0o077
/** A server that does not say who it is within this has none of our names, ms. */
const GREETING_MS = 1_000

interface ControlOptions {
  readonly log: Log
  readonly settings: Pick<Settings, 'controlSocket' | 'pidfile'>
  readonly hello: { readonly version: string; readonly name: string }
  /** In which the server was started, as it is called there. */
  readonly directory: string
  readonly runtimeDir: string | undefined
  /** Carries out a command; rejects with a UserError. */
  readonly run: (request: ControlRequest, how: Answering) => Promise<unknown>
}

export class Control {
  readonly #o: ControlOptions
  readonly #server: net.Server
  readonly #clients = new Set<net.Socket>()
  /** Files to remove in the end, if they are still ours, by what they were. */
  readonly #files = new Map<string, number>()

  constructor(options: ControlOptions) {
    this.#o = options
    this.#server = net.createServer((socket) => this.#serve(socket)).unref()
  }

  /** Never throws. Takes the place of a `predecessor`, whose clients stay with it, and of nobody else. */
  async open(predecessor?: number): Promise<void> {
    const { controlSocket, pidfile } = this.#o.settings
    if (controlSocket === 'off') return
    if (controlSocket !== 'auto')
      return void (await this.#listen([controlSocket], predecessor, 'controlFailed'))
    const place = runtimeDirectory(this.#o.runtimeDir)
    const isOurs = this.#makePlace(place)
    const { hello, directory } = this.#o
    const names = [undefined, process.pid].map((pid) => controlName(hello.name, directory, pid))
    const usual = names.map((name) => join(place, name))
    if (!pidfile)
      return isOurs ? void (await this.#listen(usual, predecessor, 'noControl')) : undefined
    const path = await this.#listen([besidePidfile(pidfile)], predecessor, 'noControl')
    if (path !== undefined && isOurs) await this.#link(path, usual, predecessor)
  }

  /** Answers under way are sent; nobody is waited for. */
  close(): void {
    this.#server.close()
    for (const socket of this.#clients) socket.destroySoon()
    for (const [file, inode] of this.#files)
      if (inodeOf(file) === inode) fs.rmSync(file, { force: true })
    this.#files.clear()
  }

  /** At the first of `paths` that no other server has; answers which. */
  async #listen(
    paths: readonly string[],
    predecessor: number | undefined,
    complaint: 'controlFailed' | 'noControl',
  ): Promise<string | undefined> {
    const { log } = this.#o
    const [first = ''] = paths
    const draft = join(dirname(first), `.${process.pid}.ctl`)
    try {
      const longest = Math.max(...[...paths, draft].map((path) => Buffer.byteLength(path)))
      if (longest > LONGEST_PATH) throw new Error(`it is longer than ${LONGEST_PATH} bytes`)
      await listen(this.#server, draft)
      const path = await claim(paths, predecessor, (to) => fs.linkSync(draft, to))
      if (path !== undefined) this.#files.set(path, inodeOf(path)!)
      fs.rmSync(draft, { force: true })
      if (path === undefined) throw new Error('another server has it')
      log.event('controlling', { path })
      return path
    } catch (error) {
      // EACCES, EROFS, ENOENT, ENOSPC, EPERM (a file system without links), EISDIR
      log.event(complaint, { path: first, why: (error as Error).message })
      this.#server.close()
      return undefined
    }
  }

  /** So that a command finds it that knows the directory alone. */
  async #link(
    path: string,
    from: readonly string[],
    predecessor: number | undefined,
  ): Promise<void> {
    try {
      const link = (at: string): void => fs.symlinkSync(fs.realpathSync(path), at)
      const made = await claim(from, predecessor, link)
      if (made !== undefined) this.#files.set(made, inodeOf(made)!)
    } catch (error) {
      // EACCES, EROFS, ENOSPC: then it is found by --socket or --pid only
      if ((error as NodeJS.ErrnoException).code === undefined) throw error
    }
  }

  /** False: it is not there, or others could put something into it. */
  #makePlace(place: string): boolean {
    try {
      if (!fs.existsSync(place)) fs.mkdirSync(place, { mode: 0o700 }) // `recursive` may never end where nothing can be made, as in /proc
      const { uid, mode } = fs.lstatSync(place)
      if (uid === process.getuid?.() && (mode & OWN_ONLY) === 0) {
        for (const file of leftIn(place)) fs.rmSync(file, { force: true })
        return true
      }
      this.#o.log.event('noControl', { path: place, why: 'others can write there' })
    } catch (error) {
      // EACCES, EROFS, ENOENT: a container without a place to write
      this.#o.log.event('noControl', { path: place, why: (error as Error).message })
    }
    return false
  }

  #serve(socket: net.Socket): void {
    const left = new AbortController()
    this.#clients.add(socket)
    socket.once('close', () => {
      this.#clients.delete(socket)
      left.abort()
    })
    socket.on('error', () => undefined) // EPIPE, ECONNRESET: it left before it had its answer
    socket.unref()
    const say = (answer: ControlAnswer): void => {
      socket.write(`${JSON.stringify(answer)}\n`)
      if (socket.writableLength > MOST_UNREAD) socket.destroy()
    }
    say({ hello: { protocol: CONTROL_VERSION, pid: process.pid, ...this.#o.hello } })
    let rest = ''
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) if (line.trim() !== '') void this.#answer(line, say, left.signal)
      if (rest.length <= MAX_MESSAGE) return
      say(failure(0, new UserError('BAD_COMMAND', `a line is longer than ${MAX_MESSAGE} bytes`)))
      socket.destroySoon()
    })
  }

  async #answer(
    line: string,
    say: (answer: ControlAnswer) => void,
    left: AbortSignal,
  ): Promise<void> {
    const request = readRequest(line)
    if (request instanceof UserError) return say(failure(0, request))
    const { id } = request
    try {
      const item = (one: unknown): void => say({ id, item: one })
      const result = await this.#o.run(request, { by: 'control socket', left, item })
      say({ id, ok: true, result: result ?? null })
    } catch (error) {
      say(failure(id, error as Error))
    }
  }
}

function readRequest(line: string): ControlRequest | UserError {
  try {
    const { id, command, args } = JSON.parse(line) as Partial<ControlRequest>
    if (Number.isSafeInteger(id) && typeof command === 'string')
      return { id: id!, command, ...(args && typeof args === 'object' && { args }) }
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error // TypeError: it was null
  }
  const wanted = '{"id": 1, "command": "status", "args": {}}'
  return new UserError('BAD_COMMAND', `a line is not a request; it must be like ${wanted}`)
}

const failure = (id: number, error: Error): ControlAnswer => ({
  id,
  ok: false,
  error: { code: error instanceof UserError ? error.code : 'FAILED', message: error.message },
})

const listen = (server: net.Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject).once('listening', resolve)
    listenWithRights(server, path, OWN_ONLY | 0o100)
  })

/** Takes the first of `paths` that is free, left behind, or the predecessor's; `make` fails if it is there. */
async function claim(
  paths: readonly string[],
  predecessor: number | undefined,
  make: (path: string) => void,
): Promise<string | undefined> {
  for (const path of paths) {
    if (tryTo(make, path)) return path
    if (![undefined, predecessor].includes(await ownerOf(path))) continue
    fs.rmSync(path, { force: true })
    if (tryTo(make, path)) return path
  }
  return undefined
}

function tryTo(make: (path: string) => void, path: string): boolean {
  try {
    make(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** The pid of the server that answers there; undefined if none does. */
function ownerOf(path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect(path).setTimeout(GREETING_MS).setEncoding('utf8')
    let heard = ''
    const end = (): void => {
      socket.destroy()
      const pid = /"pid":(\d+)/.exec(heard)?.[1]
      resolve(pid === undefined ? undefined : Number(pid))
    }
    socket.on('data', (text: string) => {
      heard += text
      if (heard.includes('\n')) end()
    })
    for (const event of ['error', 'timeout', 'close']) socket.once(event, end) // ECONNREFUSED: it was left behind
  })
}
