// What draws on a terminal, on a real one in tmux: `supervisor top`, and the progress of `supervisor reload --wait`.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { controlPlace, runCommand } from './helpers/command.ts'
import { fixtures, startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { Tmux, supervisor, tmuxVersion } from './helpers/tmux.ts'
import { until } from './helpers/until.ts'

const version = tmuxVersion()
if (version === undefined)
  console.error(
    'test/top.test.ts is skipped: there is no tmux (apt-get install -y --no-install-recommends tmux)',
  )

/** A server that answers commands, and a terminal to give them in. */
async function begin(
  t: Teardown,
  app: string,
  ...flags: string[]
): Promise<{ server: Server; terminal: Tmux; env: Record<string, string> }> {
  const env = controlPlace(t)
  const server = await startServer(t, app, '--workers', '2', ...flags, { env })
  await until('it answers', async () => (await runCommand(env, ['status'])).code === 0)
  return { server, env, terminal: await Tmux.start(t, { cwd: fixtures, env }) }
}

/** The numbers in the first column of the table of workers. */
const slotsIn = (screen: string): number[] => {
  const lines = screen.split('\n')
  const title = lines.findIndex((line) => /^ *SLOT +PID/.test(line))
  const rows = lines.slice(title + 1)
  return rows.slice(0, rows.indexOf('')).map((row) => Number.parseInt(row, 10))
}

const isBare = async (terminal: Tmux): Promise<boolean> => {
  const { isOwnScreen, hasCursor } = await terminal.state()
  return !isOwnScreen && hasCursor
}

describe.skipIf(version === undefined)('supervisor top', { concurrent: true }, () => {
  test('shows the workers, obeys keys, fits any size, and leaves the terminal as it was', async (t) => {
    const { server, terminal } = await begin(t, 'hello.js')
    const [before, after] = [join(terminal.dir, 'before'), join(terminal.dir, 'after')]
    writeFileSync(after, '')
    await terminal.run(
      `echo a marker; stty -g >${before}; ${supervisor} top; echo "status $?"; stty -g >${after}`,
    )
    const [one, two] = server.pids()
    await terminal.shows(
      (screen) =>
        /2 of 2 workers ready/.test(screen) &&
        [one, two].every((pid) => screen.includes(String(pid))) &&
        /no requests in flight/.test(screen),
    )
    expect(await terminal.state()).toEqual({ isOwnScreen: true, hasCursor: false })
    server.get('/slow?ms=8000').catch(() => undefined) // cut at the end of the test, perhaps
    await terminal.shows(/GET \/slow\?ms=8000/)
    await terminal.press('m')
    await terminal.shows(/sorted by rss/)
    await terminal.press('s')
    await terminal.shows((screen) => String(slotsIn(screen)) === '0,1')
    await terminal.press('s')
    await terminal.shows((screen) => String(slotsIn(screen)) === '1,0')
    await terminal.resize(60, 16)
    const narrow = await terminal.shows(
      (screen) => /^ *SLOT/m.test(screen) && !screen.includes('RESTARTS'),
    )
    expect(narrow).toMatch(/^ *SLOT +PID +STATE .*BUSY/m)
    await terminal.press('k')
    await terminal.shows(/choose a worker first/)
    await terminal.press('Down', 'k')
    await terminal.shows(/recycling the worker of slot 1 \(pid \d+\)/)
    const { worker } = await server.log(/^Recycling worker/)
    await terminal.shows((screen) => !screen.includes(String(worker)))
    await terminal.press('+')
    await terminal.shows(/3 of 3 workers ready/)
    await terminal.press('?')
    await terminal.shows(/recycle it: the new one comes first$[^]*turned round$/m)
    await terminal.press('q')
    await terminal.shows(/3 of 3 workers ready/)
    await terminal.press('q')
    await terminal.shows(/a marker\nstatus 0\n/)
    await until('the shell has gone on', () => readFileSync(after, 'utf8') !== '')
    expect(await isBare(terminal)).toBe(true)
    expect(readFileSync(after, 'utf8')).toBe(readFileSync(before, 'utf8'))
  })

  test('gives the terminal back when it is stopped, when it is ended and when its server dies', async (t) => {
    const { server, terminal } = await begin(t, 'hello.js')
    const pidfile = join(tempDir(t), 'pid')
    const run = `bash -c 'echo $$ >${pidfile}; exec ${supervisor} top'; echo "status $?"`
    await terminal.run(run)
    await terminal.shows(/2 of 2 workers ready/)
    await terminal.press('C-z')
    await terminal.shows(/Stopped/)
    expect(await isBare(terminal)).toBe(true)
    await terminal.run('clear; fg')
    await terminal.shows(/2 of 2 workers ready/)
    await until(
      'it draws on its own screen again',
      async () => (await terminal.state()).isOwnScreen,
    )
    server.signal('SIGKILL')
    await terminal.shows(/no server runs here/)
    process.kill(Number(readFileSync(pidfile, 'utf8')), 'SIGTERM')
    await until('the terminal is given back', () => isBare(terminal))
    await terminal.run('clear; stty -a | tr " " "\\n" | grep -x -e icanon -e echo')
    await terminal.shows(/^icanon\n^echo$|^echo\n^icanon$/m)
  })

  test('says what else there is where there is no terminal', async (t) => {
    const { code, stderr } = await runCommand(controlPlace(t), ['top'])
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/needs a terminal.*supervisor status/),
    ])
  })
})

describe.skipIf(version === undefined)('supervisor reload --wait', { concurrent: true }, () => {
  test('shows on a terminal how far it is, in one line', async (t) => {
    const { server, terminal } = await begin(t, 'hello.js')
    await terminal.run(`clear; ${supervisor} reload --wait; echo "status $?"`)
    await server.log(/^Handling command: reload/)
    const done = await terminal.shows(/status 0/)
    expect(done).toMatch(/^Reloaded: 2 workers in \S+ \(generation 2\)\nstatus 0\n/)
  })

  test('goes on when Ctrl-C ends the waiting, and says so', async (t) => {
    const dir = tempDir(t, { 'app.js': SLOW_AGAIN })
    const { server, terminal, env } = await begin(t, join(dir, 'app.js'))
    await terminal.run(`clear; ${supervisor} reload --wait; echo "status $?"`)
    await terminal.shows(/Reloading \[ +\] 0 of 2 workers replaced/)
    await terminal.press('C-c')
    await terminal.shows(
      /^The reload goes on; "supervisor status" shows how it ends\n(\^C)?status 130/m,
    )
    writeFileSync(join(dir, 'go'), '')
    await server.log(/^Reload finished/)
    const { stdout } = await runCommand(env, ['status'])
    expect(stdout).toMatch(/reloaded \S+ ago/)
  })
})

/** Boots at once the first time, and after that when there is a file `go`. */
const SLOW_AGAIN = `
const fs = require('node:fs')
const mark = __dirname + '/booted-' + process.env.SUPERVISOR_WORKER_SLOT
const isFirst = !fs.existsSync(mark)
fs.writeFileSync(mark, '')
const boot = () =>
  isFirst || fs.existsSync(__dirname + '/go')
    ? require('node:http').createServer((req, res) => res.end('hello')).listen(0)
    : setTimeout(boot, 20)
boot()
`
