// Whether there can be an upgrade, and which node and which file it runs.
import { describe, expect, test } from 'vitest'
import { chooseNode, scriptAsTyped, type NodeChoice } from '../../src/master/node-choice.ts'
import { obstacle, type Situation } from '../../src/master/upgrade.ts'

describe('an upgrade', () => {
  const fine: Situation = {
    pid: 4820,
    init: undefined,
    isCommand: true,
    socketOwner: 'owned',
    step: 'running',
    isReloading: false,
  }
  const cases: [string, Partial<Situation>, RegExp | undefined][] = [
    ['of a running server is possible', {}, undefined],
    ['of a child of systemd is possible', { init: 'systemd' }, undefined],
    ['of process 1 is not: its container ends with it', { pid: 1 }, /container.*HUP/],
    ['of the one child of tini is not: tini ends with it', { init: 'tini' }, /container/],
    ['of a program with the library is not', { isCommand: false }, /program of yours/],
    ["of node:cluster's sockets is not", { socketOwner: 'cluster' }, /--sockets/],
    ['waits for the start', { step: 'starting' }, /still starting/],
    ['is too late in a stop', { step: 'stopping' }, /stopping/],
    ['is too late before a stop', { step: 'stopping-soon' }, /stopping/],
    ['waits for a reload', { isReloading: true }, /reload/],
  ]
  test.each(cases)('%s', (_, change, why) => {
    const said = obstacle({ ...fine, ...change })
    if (why) expect(said).toMatch(why)
    else expect(said).toBeUndefined()
  })
})

describe('the node of an upgrade', () => {
  const there = ['/usr/bin/node', '/opt/26/bin/node', '/srv/bin/node', '/usr/bin/node22', '/bin/sh']
  const typed = (change: Partial<NodeChoice>): string =>
    chooseNode(
      {
        wanted: '',
        typed: 'node',
        execPath: '/opt/20/bin/node',
        directory: '/srv',
        path: '/nowhere:/usr/bin:/bin',
        ...change,
      },
      (file) => there.includes(file),
    )
  const cases: [string, Partial<NodeChoice>, string][] = [
    ['is looked up in PATH if it was', {}, '/usr/bin/node'],
    ['is the path that was typed', { typed: '/opt/26/bin/node' }, '/opt/26/bin/node'],
    ['may be a relative path', { typed: './bin/node' }, '/srv/bin/node'],
    ['is in PATH if what was typed and what runs are gone', { typed: '/x/node' }, '/usr/bin/node'],
    [
      'is what runs, if PATH has none',
      { path: '/x', execPath: '/opt/26/bin/node' },
      '/opt/26/bin/node',
    ],
    [
      'is never a made-up argv[0]',
      { typed: 'sh', execPath: '/opt/26/bin/node' },
      '/opt/26/bin/node',
    ],
    ['is the setting', { wanted: '/opt/26/bin/node' }, '/opt/26/bin/node'],
    ['is the setting, relative to the directory', { wanted: 'bin/node' }, '/srv/bin/node'],
    ['is the setting, a name in PATH', { wanted: 'node22' }, '/usr/bin/node22'],
    ['is the setting even if it is wrong', { wanted: '/x/node' }, '/x/node'],
    ['may be in a relative directory of PATH', { path: 'bin' }, '/srv/bin/node'],
  ]
  test.each(cases)('%s', (_, change, node) => expect(typed(change)).toBe(node))
})

test('our own file is spelled as the working directory is, if it is in there', () => {
  const cases: [string, string][] = [
    ['/srv/one/node_modules/.bin/supervisor', '/srv/current/node_modules/.bin/supervisor'],
    ['/srv/one/cli.cjs', '/srv/current/cli.cjs'],
    ['/usr/bin/supervisor', '/usr/bin/supervisor'],
    ['/srv/one-more/cli.cjs', '/srv/one-more/cli.cjs'],
  ]
  for (const [script, spelled] of cases)
    expect(scriptAsTyped(script, '/srv/one', '/srv/current')).toBe(spelled)
})
