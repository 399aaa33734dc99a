// The words of commands: their help, their flags, what is said to a wrong one, and what shells are offered.
import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { parseCall } from '../../src/client/call.ts'
import { completionScript } from '../../src/client/completion.ts'
import { isCommandName, operatorCommands, type OperatorCommand } from '../../src/commands.ts'
import { completionHelp, generalHelp, initHelp, operatorHelp } from '../../src/help.ts'
import { initTargets } from '../../src/init-targets.ts'
import { bareEnvironment } from '../helpers/server.ts'
import { tempDir } from '../helpers/temp.ts'

const all = Object.keys(operatorCommands) as OperatorCommand[]
const tooLong = (text: string): string[] => text.split('\n').filter((line) => line.length > 80)

describe('help', () => {
  test('in general has a line for each command, at 80 columns', () => {
    const text = generalHelp()
    for (const command of all)
      expect(text).toMatch(new RegExp(`^  ${command} {2,}\\S.{0,64}$`, 'm'))
    expect(tooLong(text)).toEqual([])
    expect(tooLong(completionHelp())).toEqual([])
    expect(tooLong(initHelp())).toEqual([])
    expect(text).toMatch(/^  init {2,}\S/m)
  })

  test.each(all)('of %s has its flags, at 80 columns', (command) => {
    const text = operatorHelp(command)
    expect(text).toMatch(new RegExp(`^Usage: supervisor ${command} `))
    for (const flag of Object.keys(operatorCommands[command].flags ?? {}))
      expect(text).toContain(`--${flag}`)
    expect(tooLong(text)).toEqual([])
  })
})

test('what only the CLI does is no command of the server', () => {
  expect(all.filter((name) => !isCommandName(name)).sort()).toEqual(['logs', 'top'])
})

describe('a wrong word is met with the right one:', () => {
  test.each([
    ['reload', ['--watt'], /^--watt is not a flag of "supervisor reload"; did you mean --wait\?$/],
    ['reload', ['-x'], /^-x is not a flag of "supervisor reload"; its flags are --wait, /],
    ['events', ['--last'], /^--last needs a value: supervisor events /],
    ['reload', ['--wait=yes'], /^--wait takes no value: supervisor reload /],
    ['status', ['now'], /^"now" is one argument too many: supervisor status \[--quiet\]$/],
    ['top', ['--json'], /^--json is not a flag of "supervisor top"/],
  ] as [OperatorCommand, string[], RegExp][])('%s %s', (command, words, complaint) => {
    expect(() => parseCall(command, words)).toThrow(complaint)
  })

  test('and a negative number is no flag', () => {
    expect(parseCall('scale', ['-2', '--pid', '7'])).toEqual({ words: ['-2'], flags: { pid: '7' } })
  })
})

describe('supervisor completion', () => {
  /** What bash offers for a command line, whose last word is being typed. */
  const offers = (script: string, cwd: string, line: string): string[] => {
    const words = line.split(/ |(?<==)|(?==)/)
    const text = `${script}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length - 1}
_supervisor
printf '%s\\n' "\${COMPREPLY[@]}"`
    const env = bareEnvironment()
    const out = execFileSync('bash', ['--norc', '-c', text], { cwd, encoding: 'utf8', env })
    return out.split('\n').filter((word) => word !== '')
  }

  test('lets bash complete commands, flags, values and files', (t) => {
    const cwd = tempDir(t, { 'app.js': '', 'apple/pie.js': '' })
    const script = completionScript(['bash'])
    const cases: Record<string, string[]> = {
      'supervisor st': ['stack', 'start', 'status', 'stop'],
      'supervisor start --log-l': ['--log-level'],
      'supervisor start --log-level ': ['debug', 'info', 'warning', 'error', 'critical'],
      'supervisor start --log-level=wa': ['warning'],
      'supervisor start --no-hand': ['--no-handover'],
      'supervisor start ap': ['app.js', 'apple'],
      'supervisor start app.js --workers ': ['auto'],
      'supervisor start --pidfile ap': ['app.js', 'apple'],
      'supervisor start --chdir ap': ['apple'],
      'supervisor start --timeout ': [],
      'supervisor reload --': ['--wait', '--socket', '--pid', '--json', '--help'],
      'supervisor reload --pid ': [],
      'supervisor logs --level e': ['error'],
      'supervisor completion ': ['bash', 'zsh', 'fish'],
      'supervisor help rec': ['recycle'],
      'supervisor init ': Object.keys(initTargets).sort(),
      'supervisor init --fr': ['--from'],
      'supervisor init --from ap': ['app.js', 'apple'],
      'supervisor status ': [],
    }
    for (const [line, expected] of Object.entries(cases))
      expect(offers(script, cwd, line).sort(), line).toEqual([...expected].sort())
  })

  test('has a script for zsh and fish too, and refuses other shells', () => {
    expect(completionScript(['zsh'])).toMatch(
      /^#compdef supervisor nodicorn\n[^]*--graceful-timeout=\[[^]*\n {4}reload\)/,
    )
    expect(completionScript(['fish'])).toMatch(
      /complete -c supervisor .* -l graceful-timeout -x -d 'How long/,
    )
    expect(() => completionScript(['bas'])).toThrow(/"bas" is not one: .*did you mean bash\?/)
    expect(() => completionScript([])).toThrow(/a shell is missing/)
  })
})
