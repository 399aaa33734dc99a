// FILE[:EXPORT] and package.json -> the file of the app.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { findApp } from '../../src/app-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'nodicorn-app-'))
afterAll(() => rmSync(directory, { recursive: true }))
const put = (path: string, text = ''): void => {
  mkdirSync(dirname(join(directory, path)), { recursive: true })
  writeFileSync(join(directory, path), text)
}
for (const file of [
  'app.js',
  'server.ts',
  'odd:name.js',
  'odd:name',
  'pkg/lib/index.js',
  'pkg/main.mjs',
])
  put(file)

test.each([
  ['app.js', 'app.js', undefined],
  ['app.js:app', 'app.js', 'app'],
  ['app.js:api.$default_1', 'app.js', 'api.$default_1'],
  ['app.js:create_app()', 'app.js', 'create_app'],
  ['./pkg/../server.ts:app', 'server.ts', 'app'],
  ['odd:name.js', 'odd:name.js', undefined],
  ['odd:name', 'odd:name', undefined],
])('%s is the file %s and the export %s', async (word, file, exportName) => {
  const app = await findApp(word, directory)
  expect(app).toEqual({ file: join(directory, file), ...(exportName && { exportName }) })
})

const packages: [string, string][] = [
  ['{"main": "lib/index.js"}', 'lib/index.js'],
  ['{"main": "./lib"}', 'lib/index.js'],
  ['{"main": "main.mjs"}', 'main.mjs'],
  ['{"exports": "./main.mjs", "main": "lib/index.js"}', 'main.mjs'],
  ['{"exports": {".": {"types": "./x.d.ts", "import": "./main.mjs"}}}', 'main.mjs'],
  ['{"exports": {"browser": "./x.js", "default": {"node": "./main.mjs"}}}', 'main.mjs'],
  ['{"exports": {"./other": "./x.js"}, "main": "lib/index.js"}', 'lib/index.js'],
]
test.each(packages)(
  'without FILE, or with a directory, package.json decides: %s',
  async (text, file) => {
    put('pkg/package.json', text)
    const expected = join(directory, 'pkg', file)
    expect(await findApp(undefined, join(directory, 'pkg'))).toEqual({ file: expected })
    expect(await findApp('pkg', directory)).toEqual({ file: expected })
    expect(await findApp('./pkg:app', directory)).toEqual({ file: expected, exportName: 'app' })
  },
)

test('a directory that is a link stays one, so that it can be moved', async () => {
  put('pkg/package.json', '{"main": "lib/index.js"}')
  symlinkSync('pkg', join(directory, 'link'))
  expect(await findApp('link', directory)).toEqual({ file: join(directory, 'link/lib/index.js') })
})

const place = join(directory, 'bad/package.json')
test.each([
  ['{}', `no FILE was given, and ${place} has neither "exports" nor "main"; pass the file`],
  [
    '{"main": "nope.js"}',
    `${place} names "nope.js" as its main file, which does not exist; pass the file`,
  ],
  ['{"main": }', `${place} cannot be read: `],
])('a package.json of %s does not say, and the error does', async (text, message) => {
  put('bad/package.json', text)
  await expect(findApp(undefined, join(directory, 'bad'))).rejects.toThrow(message)
})

test.each([
  ['ap.js', `ap.js: there is no such file in ${directory}; did you mean app.js?`],
  ['app', `app: there is no such file in ${directory}; did you mean app.js?`],
  ['app.ts:x', `app.ts: there is no such file in ${directory}; did you mean app.js?`],
  [
    'pkg/mian.mjs',
    `pkg/mian.mjs: there is no such file in ${join(directory, 'pkg')}; did you mean pkg/main.mjs?`,
  ],
  ['nowhere/x.js', `nowhere/x.js: there is no such file in ${join(directory, 'nowhere')}`],
  [
    'app:application',
    'app:application looks like a Python module; FILE must be the path of a JavaScript or TypeScript file, such as app.js:application',
  ],
  [
    'shop.wsgi:make()',
    'shop.wsgi:make() looks like a Python module; FILE must be the path of a JavaScript or TypeScript file, such as app.js:make',
  ],
])('%s is not found, with advice', async (word, message) => {
  await expect(findApp(word, directory)).rejects.toMatchObject({ code: 'APP_NOT_FOUND', message })
})
