// The watchdog's end of its pipe to the master: what happens to lines when the master does not read, or is gone. Told to the
// built code in a process of its own, whose descriptor 4 is ours.
import { spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { bareEnvironment } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const built = fileURLToPath(new URL('../dist/worker/master-pipe.js', import.meta.url))

/** A process that says on stdout what it does, and its descriptor 4. */
function start(t: Teardown, code: string): { output(): string; pipe: Duplex } {
  const text = `
    import { MasterPipe } from ${JSON.stringify(built)}
    const say = (text) => process.stdout.write(text + ';')
    let isGone = false
    const pipe = new MasterPipe(() => {
      isGone = true
      say('gone')
    })
    const line = (seq) => ({ type: 'refusal', seq, why: 'x'.repeat(5000) })
    ${code}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
    env: bareEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit', 'ignore', 'pipe'],
  })
  t.onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  child.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const pipe = (child.stdio as unknown[])[4] as Duplex
  pipe.on('error', () => undefined) // ECONNRESET: it was killed with the test
  return { output: () => output, pipe }
}

test('a master that does not read for a while gets whole lines, what it must know among them', async (t) => {
  const { output, pipe } = start(
    t,
    `pipe.listen((question) => say('heard ' + question.seq))
    for (let n = 0; n < 1000; n++) pipe.mention(line(n))
    say('full')
    while (!(await pipe.tell(line(-1)))); // it gives up after a second, and this machine may be busy
    setInterval(() => pipe.mention(line(-2)), 10)`,
  )
  await until('it has written more than there is room for', () => output().includes('full'))
  let text = ''
  pipe.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await until('it goes on', () => text.includes('"seq":-2'))
  const lines = text.slice(0, text.lastIndexOf('\n')).split('\n')
  const numbers = lines.map((one) => (JSON.parse(one) as { seq: number }).seq)
  const before = numbers.slice(0, numbers.indexOf(-1))
  expect(before.length, 'the others were dropped').toBeLessThan(1000)
  expect(before).toEqual([...new Set(before)].sort((a, b) => a - b))
  expect(new Set(numbers.slice(before.length))).toEqual(new Set([-1, -2]))
  pipe.write('{"type":"stack","se')
  pipe.write('q":7}\n{"type":"stack","seq":8}\n')
  await until('it has heard', () => output().includes('heard 7;heard 8;'))
})

test('what nobody reads is given up after a while', async (t) => {
  const { output, pipe } = start(
    t,
    `pipe.listen(() => {})
    for (let n = 0; n < 1000; n++) pipe.mention(line(n))
    say('told ' + (await pipe.tell(line(-1))))`,
  )
  await until('it gave up', () => output().includes('told false'))
  pipe.destroy()
})

test('the end of the master is noticed once, and what has its descriptor then is spared', async (t) => {
  const file = join(tempDir(t), 'precious')
  const { output, pipe } = start(
    t,
    `import fs from 'node:fs'
    pipe.listen(() => {})
    const ticking = setInterval(() => {
      pipe.mention(line(1))
      if (!isGone) return
      clearInterval(ticking)
      if (fs.existsSync('/dev/fd/4')) fs.closeSync(4)
      const fd = fs.openSync(${JSON.stringify(file)}, 'w')
      pipe.mention(line(2))
      say('wrote ' + fs.fstatSync(fd).size + ' bytes to ' + fd)
    }, 10)
    say('begun')`,
  )
  await until('it runs', () => output().includes('begun'))
  pipe.destroy()
  await until('it has gone on', () => output().includes('wrote 0 bytes to 4'))
  expect(output().match(/gone/g)).toHaveLength(1)
})
