// Sockets that systemd has opened: which are meant, and what they make of the settings.
import { describe, expect, test } from 'vitest'
import { announcedBy, isAddressOf, withActivated, type Activated } from '../../src/activation.ts'
import { loadConfig } from '../../src/config.ts'
import { pathIn } from '../../src/master/activation.ts'

test.each([
  [{}, []],
  [{ LISTEN_FDS: '2' }, []],
  [{ LISTEN_PID: '8', LISTEN_FDS: '1' }, []],
  [{ LISTEN_PID: '7', LISTEN_FDS: 'many' }, []],
  [{ LISTEN_PID: '7', LISTEN_FDS: '1' }, [{ fd: 3, name: 'unknown' }]],
  [
    { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'web:inner' },
    [
      { fd: 3, name: 'web' },
      { fd: 4, name: 'inner' },
    ],
  ],
])('process 7 with %o has %o', (env, expected) => expect(announcedBy(env, 7)).toEqual(expected))

const web: Activated = {
  ...{ fd: 3, name: 'web', address: { type: 'tcp', host: '::', port: 8000 } },
}
const inner: Activated = { fd: 4, name: 'inner', address: { type: 'unix', path: '/run/app.sock' } }
const hidden: Activated = { fd: 5, name: 'hidden', address: undefined }
const all = [web, inner, hidden]

describe('bind', () => {
  test.each([
    [[], all, ['[::]:8000', 'unix:/run/app.sock', 'fd://5'], 0],
    [['-b', ':9000'], all, ['[::]:8000', 'unix:/run/app.sock', 'fd://5'], 1],
    [['-b', '[::]:8000'], [web], ['[::]:8000'], 0],
    [['-b', 'fd://inner', '-b', ':9000'], all, ['unix:/run/app.sock', ':9000'], 0],
    [['-b', 'fd://4'], all, ['fd://4'], 0],
    [['-b', ':9000'], [], [':9000'], 0],
    [['--sockets', 'cluster'], all, ['fd://3', 'fd://4', 'fd://5'], 0],
  ])('%j with %o: %j, %i notes', async (argv, activated, bind, notes) => {
    const config = withActivated(await loadConfig({ argv, env: {}, cwd: '/' }), activated)
    expect(config.settings.bind).toEqual(bind)
    expect(config.notes).toHaveLength(notes)
  })

  test('a name that systemd did not give is a mistake', async () => {
    const config = await loadConfig({ argv: ['-b', 'fd://wbe'], env: {}, cwd: '/' })
    expect(() => withActivated(config, all)).toThrow(
      '-b is "fd://wbe"; it must be the name of a socket that systemd has opened (web, inner, hidden)',
    )
    expect(() => withActivated(config, [])).toThrow('(there are none)')
  })
})

test.each([
  [{ address: null, port: 8000, addressType: 6 }, web],
  [{ address: '0.0.0.0', port: 8000, addressType: 4 }, web],
  [{ address: '127.0.0.1', port: 8000, addressType: 4 }, undefined],
  [{ address: '::', port: 8001, addressType: 6 }, undefined],
  [{ address: '/run/app.sock', port: -1, addressType: -1 }, inner],
  [{ address: '/run/other.sock', port: -1, addressType: -1 }, undefined],
])('%j is asked for: %o', (asked, expected) =>
  expect(all.find((one) => isAddressOf(one, asked))).toBe(expected),
)

test('the path of a unix socket is found by its inode', () => {
  const table = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 22222 /run/my app.sock
0000000000000000: 00000002 00000000 00010000 0001 01 33333 @abstract
0000000000000000: 00000003 00000000 00000000 0001 03 44444
`
  expect([22222, 33333, 44444, 5].map((inode) => pathIn(table, inode))).toEqual([
    '/run/my app.sock',
    '\0abstract',
    undefined,
    undefined,
  ])
})
