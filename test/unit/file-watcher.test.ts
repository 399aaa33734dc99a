// What the system's events tell without anybody looking at the files: the server looks as well, so its tests can't see this.
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FileWatcher } from '../../src/master/file-watcher.ts'
import { tempDir, type Teardown } from '../helpers/temp.ts'
import { until } from '../helpers/until.ts'

function watching(t: Teardown, files: Readonly<Record<string, string>>) {
  const dir = tempDir(t, files)
  const at = (file: string): string => join(dir, file)
  const wanted = new Set<string>()
  const heard: string[] = []
  const watcher = new FileWatcher({
    wants: (path) => wanted.has(path),
    heard: (path) => heard.push(path),
    failed: (directory, error) => {
      throw new Error(directory, { cause: error })
    },
  })
  t.onTestFinished(() => watcher.close())
  /** Does it, and waits until the file is heard of; answers what was heard of first. */
  const after = async (file: string, deed: () => void): Promise<string | undefined> => {
    heard.length = 0
    deed()
    await until(`${file} is heard of`, () => heard.includes(at(file)))
    return heard[0]?.slice(dir.length + 1)
  }
  return { at, dir, wanted, watcher, after }
}

test('a wanted file of a directory is heard of however it changes, another is not', async (t) => {
  const files = {
    'written.js': '',
    'replaced.js': '',
    'last.js': '',
    'late.js': '',
    'other.js': '',
  }
  const { at, dir, wanted, watcher, after } = watching(t, files)
  for (const name of ['written.js', 'replaced.js', 'last.js']) wanted.add(at(name))
  expect([await watcher.watch(dir), await watcher.watch(dir)]).toEqual([true, false])
  await after('written.js', () => appendFileSync(at('written.js'), 'x'))
  await after('replaced.js', () => {
    writeFileSync(at('.tmp'), 'x')
    renameSync(at('.tmp'), at('replaced.js'))
  })
  appendFileSync(at('other.js'), 'not wanted')
  const first = await after('last.js', () => appendFileSync(at('last.js'), 'x'))
  expect(first).not.toBe('other.js')
  wanted.add(at('late.js'))
  await after('late.js', () => appendFileSync(at('late.js'), 'wanted by now'))
})

test('a directory that is replaced is heard again once it has been asked for again', async (t) => {
  const { dir, wanted, watcher, after } = watching(t, { 'lib/a.js': '' })
  const file = join(dir, 'lib/a.js')
  wanted.add(file)
  await watcher.watch(join(dir, 'lib'))
  await after('lib/a.js', () => rmSync(join(dir, 'lib'), { recursive: true }))
  expect(await watcher.watch(join(dir, 'lib')), 'it is not there').toBe(false)
  mkdirSync(join(dir, 'lib'))
  expect(await watcher.watch(join(dir, 'lib'))).toBe(true)
  await after('lib/a.js', () => writeFileSync(file, 'new'))
})

test('of a tree every new file is heard of, in new directories too, but not in skipped ones', async (t) => {
  const { dir, watcher, after } = watching(t, { 'node_modules/x/a.js': '' })
  await watcher.watchTree(dir, ['node_modules'])
  writeFileSync(join(dir, 'node_modules/x/b.js'), '')
  const first = await after('views/deep/a.html', () => {
    mkdirSync(join(dir, 'views/deep'), { recursive: true })
    writeFileSync(join(dir, 'views/deep/a.html'), '')
  })
  expect(first).toMatch(/^views/)
})
