// docs/from-gunicorn.md against the parser: what it says is accepted is, and what it says is not there is refused.
import { describe, expect, test } from 'vitest'
import { parseWords } from '../../src/argv.ts'
import { gunicornFlags } from '../../src/gunicorn-flags.ts'
import { isHookName } from '../../src/hooks.ts'
import { unknownKey } from '../../src/nearest.ts'
import { isSettingName, settingRow } from '../../src/settings.ts'

interface Fate {
  readonly name: string
  readonly flags?: readonly string[]
  readonly fate: 'same' | 'renamed' | 'differs' | 'hook' | 'ignored' | 'instead'
  readonly ours?: string
  readonly says: string
}
const generator = new URL('../../scripts/generate-docs.mjs', import.meta.url).href
const { gunicornFates } = (await import(generator)) as { gunicornFates: () => Fate[] }
const fates = gunicornFates()

test("all of Gunicorn's settings are there, once", () => {
  expect(fates).toHaveLength(119)
  expect(new Set(fates.map(({ name }) => name)).size).toBe(119)
})

test('each has its fate: a setting, a hook, a reason, or what to do instead', () => {
  for (const { name, fate, ours = '', says } of fates) {
    if (fate === 'hook') expect([name, isHookName(ours)]).toEqual([name, true])
    else if (fate === 'ignored' || fate === 'instead') expect(says, name).toMatch(/\w{2}/)
    else expect([name, isSettingName(ours)]).toEqual([name, true])
  }
  const count = (kind: Fate['fate']): number => fates.filter(({ fate }) => fate === kind).length
  expect(count('same') + count('renamed') + count('differs')).toBeGreaterThanOrEqual(34)
  expect(count('hook')).toBe(14)
})

test.each(fates.filter(({ fate }) => fate !== 'instead'))(
  'as a key of a settings file $name leads to what it is here',
  ({ name, fate, ours }) => {
    if (name === ours) return // it is a key
    const { message } = unknownKey(name, 'gunicorn.json')
    if (fate === 'ignored') expect(message).toMatch(/ has no meaning in Node: .*; remove it$/)
    else expect(message).toMatch(new RegExp(`; did you mean ${ours}\\?$`))
  },
)

describe('its flags', () => {
  const written = fates.flatMap(({ flags = [], ...row }) => flags.map((flag) => ({ flag, ...row })))

  test.each(written)('$flag: $fate', ({ flag, fate, ours }) => {
    const { uses, unknown, notes, problems, own } = parseWords(['app.js', ...wordsFor(flag, ours)])
    expect(problems).toEqual([])
    if (fate === 'ignored') expect(notes).toHaveLength(1)
    else if (fate !== 'instead') {
      if (flag !== '-c' && flag !== '--config') expect(uses.map(({ name }) => name)).toEqual([ours])
    } else if (own.size === 0) return expect(unknown).toHaveLength(1)
    expect(unknown).toEqual([])
  })
})

/** As typed: with a value where it takes one. */
function wordsFor(flag: string, ours: string | undefined): string[] {
  const switches = ['--check-config', '--print-config', '--no-control-socket']
  if (switches.includes(flag)) return [flag]
  const ignored = Object.entries(gunicornFlags).find(
    ([name, { short }]) => flag === `--${name}` || flag === `-${short}`,
  )?.[1]
  const takesValue = ignored
    ? ignored.value
    : !ours || !isSettingName(ours) || settingRow(ours).placeholder
  return takesValue ? [flag, '1'] : [flag]
}
