// The admin address: who may do what, when the server should get requests, and what may be written for it.
import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { adminFault, isLocal, tryAdminAddress } from '../../src/admin-address.ts'
import { loadConfig } from '../../src/config.ts'
import { isOwnName, refusalOf, type Access, type Door } from '../../src/master/admin-access.ts'
import { unreadiness, type Condition } from '../../src/master/health.ts'
import { configJson, configTable } from '../../src/show-config.ts'

const SECRET = 'a-secret-of-16-characters'

describe('the address', () => {
  const cases: [string, boolean | undefined][] = [
    ['127.0.0.1:9100', true],
    ['127.9.9.9:9100', true],
    ['localhost:9100', true],
    ['[::1]:9100', true],
    ['unix:/run/admin.sock', true],
    ['0.0.0.0:9100', false],
    [':9100', false],
    ['9100', false],
    ['[::]:9100', false],
    ['10.0.0.5:9100', false],
    ['127.0.0.1.example:9100', undefined],
    ['admin.example:9100', undefined],
    ['127.0.0.1:99999', undefined],
    ['fd://3', undefined],
    ['', undefined],
  ]
  const usual = { minReady: 1, workers: 2 }
  test.each(cases)('%j is local: %j', (text, local) => {
    const address = tryAdminAddress(text)
    expect(address && isLocal(address)).toBe(local)
    const fault = adminFault({ ...usual, admin: text, adminToken: '' })
    expect(fault?.message).toEqual(
      local === false ? expect.stringMatching(/SUPERVISOR_ADMIN_TOKEN/) : undefined,
    )
    expect(adminFault({ ...usual, admin: text, adminToken: SECRET })).toBeUndefined()
  })
})

describe('--min-ready', () => {
  const load = (env: NodeJS.ProcessEnv) => loadConfig({ env, cwd: tmpdir() })
  const env = {
    SUPERVISOR_ADMIN: '9100',
    SUPERVISOR_ADMIN_TOKEN: SECRET,
    SUPERVISOR_MIN_READY: '3',
  }

  test.each(['2', '1-2'])('of 3 is refused with --workers %s', (WORKERS) =>
    expect(load({ ...env, WORKERS })).rejects.toThrow(
      '--min-ready is 3, and --workers allows 2 at most: /readyz would never answer 200; it must be 2 or less',
    ),
  )

  test.each(['3', '1-3', 'auto', '1-auto'])('of 3 is taken with --workers %s', (WORKERS) =>
    expect(load({ ...env, WORKERS })).resolves.toBeDefined(),
  )

  test('means nothing without an admin address', () =>
    expect(load({ ...env, SUPERVISOR_ADMIN: '', WORKERS: '1' })).resolves.toBeDefined())
})

describe('the token', () => {
  const load = (env: NodeJS.ProcessEnv) => loadConfig({ env, cwd: tmpdir() })

  test('is shown by nothing, even if it is wrong', async () => {
    const config = await load({ SUPERVISOR_ADMIN_TOKEN: SECRET })
    expect(config.settings.adminToken).toBe(SECRET)
    for (const text of [configTable(config), configJson(config)]) {
      expect(text).not.toContain(SECRET)
      expect(text).toContain('***')
    }
    expect(configTable(await load({}))).toMatch(/^adminToken +unset +default$/m)
    const wrong = load({ SUPERVISOR_ADMIN_TOKEN: 'wrong one' })
    await expect(wrong).rejects.toThrow('SUPERVISOR_ADMIN_TOKEN is "***"; it must be')
  })

  test('is missed where others can reach the address', async () => {
    const open = load({ SUPERVISOR_ADMIN: '0.0.0.0:9100' })
    await expect(open).rejects.toMatchObject({ code: 'BAD_SETTING', exit: 2 })
  })
})

describe('a name in the Host header', () => {
  const cases: [string | undefined, boolean][] = [
    [undefined, true],
    ['localhost', true],
    ['LOCALHOST:9100', true],
    ['shop.localhost:9100', true],
    ['127.0.0.1:9100', true],
    ['10.0.0.5', true],
    ['[::1]:9100', true],
    ['evil.example:9100', false],
    ['localhost.evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['evil.example#localhost', false],
    ['evillocalhost', false],
    ['', false],
  ]
  test.each(cases)('%j is no other name for us: %j', (host, isOurs) => {
    expect(isOwnName(host)).toBe(isOurs)
  })
})

describe('access', () => {
  const local: Door = { isLocal: true, token: '' }
  const doors = { local, 'local with a token': { ...local, token: SECRET } }
  const all: Record<string, Door> = { ...doors, far: { isLocal: false, token: SECRET } }
  const right = `Bearer ${SECRET}`
  const cases: [Access, keyof typeof all, string | undefined, string, number | undefined][] = [
    ['open', 'local', undefined, 'evil.example', undefined],
    ['open', 'far', undefined, 'evil.example', undefined],
    ['view', 'local', undefined, 'localhost', undefined],
    ['view', 'local', undefined, 'evil.example', 403],
    ['view', 'local', right, 'localhost', 401],
    ['view', 'local with a token', undefined, 'localhost', undefined],
    ['view', 'local with a token', 'Bearer wrong', 'localhost', 401],
    ['view', 'far', undefined, '10.0.0.5', 401],
    ['view', 'far', right, 'admin.example', undefined],
    ['action', 'local', undefined, 'localhost', 403],
    ['action', 'local', 'Bearer ', 'localhost', 401],
    ['action', 'local with a token', undefined, 'localhost', 401],
    ['action', 'local with a token', `Basic ${SECRET}`, 'localhost', 401],
    ['action', 'local with a token', `${right}x`, 'localhost', 401],
    ['action', 'local with a token', `bearer  ${SECRET}`, 'localhost', undefined],
    ['action', 'far', right, 'admin.example', undefined],
  ]
  test.each(cases)(
    'to %s, %s, with %j and Host %s: %j',
    (access, door, authorization, host, status) => {
      expect(refusalOf(access, { authorization, host }, all[door]!)?.status).toBe(status)
    },
  )
})

describe('readiness', () => {
  const fine: Condition = { step: 'running', ready: 2, blocked: 0, minReady: 1 }
  const cases: [string, Partial<Condition>, (string | RegExp)[]][] = [
    ['of a server that runs', {}, []],
    ['while it starts', { step: 'starting', ready: 0 }, [/starting/, /0 of 1 workers/]],
    ['before it stops', { step: 'stopping-soon' }, [/about to stop/]],
    ['while it stops', { step: 'stopping' }, [/is stopping/]],
    ['with one blocked worker of two', { blocked: 1 }, []],
    ['with all of them blocked', { blocked: 2 }, [/^0 of 1 workers can serve .*; 2 blocked$/]],
    ['below minReady', { minReady: 3 }, [/^2 of 3 workers can serve \(--min-ready\)$/]],
    ['with minReady 0', { ready: 0, minReady: 0 }, []],
  ]
  test.each(cases)('%s', (_, change, reasons) => {
    const given = unreadiness({ ...fine, ...change })
    expect(given).toEqual(reasons.map((reason) => expect.stringMatching(reason)))
  })
})
