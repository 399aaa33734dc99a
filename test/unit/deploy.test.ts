// What deploy/ offers to Prometheus and Grafana names only metrics that exist, with labels that they have; its files for systemd
// and Docker have times that agree with ours, and flags that exist.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseWords } from '../../src/argv.ts'
import { metricNames, metricRow, seriesNames } from '../../src/metric-table.ts'
import { settingRow } from '../../src/settings.ts'
import { tempDir } from '../helpers/temp.ts'

const deploy = fileURLToPath(new URL('../../deploy', import.meta.url))
const rules = join(deploy, 'prometheus/alerts.yml')

interface Dashboard {
  readonly panels: readonly {
    readonly id: number
    readonly title: string
    readonly targets: readonly { readonly expr: string; readonly refId: string }[]
  }[]
  readonly templating: { readonly list: readonly { readonly query: string }[] }
}
const dashboard = JSON.parse(
  readFileSync(join(deploy, 'grafana/dashboard.json'), 'utf8'),
) as Dashboard

const alerts = readFileSync(rules, 'utf8')
  .split(/^ +- alert: /m)
  .slice(1)
  .map((text) => ({
    name: /^\w+/.exec(text)![0],
    expr: /^ +expr: (?:\|\n)?([^]*?)(?=^ +(?:for|labels):)/m.exec(text)?.[1] ?? '',
    severity: /^ +severity: (\w+)/m.exec(text)?.[1],
    summary: /^ +summary: (.+)/m.exec(text)?.[1],
  }))

/** Labels by the name of the series. */
const series = new Map(
  metricNames.flatMap((name) => {
    const { type, labels = [] } = metricRow(name)
    return seriesNames(name, type).map((one): [string, readonly string[]] => [one, labels])
  }),
)
/** Every scraped series has these. */
const SCRAPED = ['instance', 'job']

/** What is wrong with an expression. */
function faultsOf(expr: string): string[] {
  const used = [...expr.matchAll(/\b((?:nodicorn|http_server|jobs)_\w+)(?:\{([^}]*)\})?/g)]
  if (used.length === 0) return [`no metric of ours: ${expr}`]
  const known = new Set([...SCRAPED, ...used.flatMap(([, name]) => series.get(name!) ?? []), 'le'])
  const grouped = [...expr.matchAll(/\b(?:by|without) \(([^)]*)\)/g)]
  return [
    ...used.flatMap(([, name]) => (series.has(name!) ? [] : [`no such series: ${name}`])),
    ...used.flatMap(([, name, matchers = '']) =>
      [...matchers.matchAll(/(\w+)(?:=~|!=|=)/g)].flatMap(([, label]) =>
        [...SCRAPED, ...(series.get(name!) ?? [])].includes(label!)
          ? []
          : [`${name} has no label ${label}`],
      ),
    ),
    ...grouped.flatMap(([, labels]) =>
      labels!.split(/, */).flatMap((one) => (known.has(one) ? [] : [`no such label: ${one}`])),
    ),
  ]
}

const programInPath = (name: string): string | undefined =>
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, name))
    .find((file) => existsSync(file))

test('the check knows what is wrong', () => {
  expect(faultsOf('up == 0')).toHaveLength(1)
  expect(faultsOf('nodicorn_worker > 0')).toEqual(['no such series: nodicorn_worker'])
  expect(faultsOf('http_server_request_duration_seconds > 0')).toHaveLength(1)
  expect(faultsOf('sum by (slot) (nodicorn_workers{reason="x"})')).toEqual([
    'nodicorn_workers has no label reason',
    'no such label: slot',
  ])
})

describe('alerts.yml', () => {
  test.each(alerts.map((alert) => [alert.name, alert] as const))('%s', (_, alert) => {
    expect(faultsOf(alert.expr)).toEqual([])
    expect(alert.severity).toMatch(/^(warning|critical)$/)
    expect(alert.summary).toMatch(/\w/)
  })

  test('has rules, each with a name of its own', () => {
    expect(alerts.length).toBeGreaterThan(8)
    expect(new Set(alerts.map(({ name }) => name)).size).toBe(alerts.length)
  })

  test('is what promtool accepts, where there is one', () => {
    const promtool = programInPath('promtool')
    if (promtool) execFileSync(promtool, ['check', 'rules', rules])
  })
})

describe('dashboard.json', () => {
  test.each(dashboard.panels.map((panel) => [panel.title, panel] as const))('%s', (_, panel) => {
    expect(panel.targets.flatMap(({ expr }) => faultsOf(expr))).toEqual([])
    const refs = panel.targets.map(({ refId }) => refId)
    expect(new Set(refs).size, 'each has a letter of its own').toBe(refs.length)
  })

  test('shows what there is to see', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    const all = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)).join()
    const missing = metricNames.filter((name) => !all.includes(name))
    expect(missing).toEqual([
      'nodicorn_hook_failures_total',
      'nodicorn_worker_heap_limit_bytes',
      'nodicorn_connections_handed_over_total',
      'nodicorn_untracked_connections_total',
      'nodicorn_log_events_total',
      'nodicorn_start_time_seconds',
      'nodicorn_build_info',
    ])
  })
})

/** What follows `supervisor start`. */
const wordsIn = (command: string): string[] => command.split(/supervisor start /)[1]!.split(' ')
const graceful = Number(settingRow('gracefulTimeout').default)

describe('systemd', () => {
  const unit = readFileSync(join(deploy, 'systemd/app.service'), 'utf8')
  const valueOf = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1] ?? ''

  test('starts with flags that exist, and waits longer than a stop takes', () => {
    expect(parseWords(wordsIn(valueOf('ExecStart')))).toMatchObject({
      file: 'app.js',
      problems: [],
    })
    expect(parseWords(wordsIn(valueOf('ExecStart'))).unknown).toEqual([])
    expect(Number(valueOf('TimeoutStopSec'))).toBeGreaterThan(graceful)
    expect([valueOf('Type'), valueOf('NotifyAccess')]).toEqual(['notify', 'all'])
  })

  test('the units are what systemd-analyze accepts, where there is one', (t) => {
    const analyze = programInPath('systemd-analyze')
    if (!analyze) return
    const dir = tempDir(t)
    const there = unit.replaceAll('/srv/app/node_modules/.bin/supervisor', process.execPath)
    writeFileSync(join(dir, 'app.service'), there)
    cpSync(join(deploy, 'systemd/app.socket'), join(dir, 'app.socket'))
    const units = ['app.service', 'app.socket'].map((name) => join(dir, name))
    expect(execFileSync(analyze, ['verify', ...units], { encoding: 'utf8', stdio: 'pipe' })).toBe(
      '',
    )
  })
})

describe('docker', () => {
  const dockerfile = readFileSync(join(deploy, 'docker/Dockerfile'), 'utf8')
  const listOf = (instruction: string): string[] =>
    JSON.parse(new RegExp(`^${instruction} (\\[.*\\])$`, 'm').exec(dockerfile)?.[1] ?? '[]')
  const service = parse(readFileSync(join(deploy, 'docker/compose.yaml'), 'utf8')).services.app
  const check = ['node_modules/.bin/supervisor', 'status', '--quiet']

  test('the image starts as a user with flags that exist, and stops within the 10 s of docker stop', () => {
    const command = [...listOf('ENTRYPOINT'), ...listOf('CMD')].join(' ')
    const words = parseWords(wordsIn(command))
    expect([words.file, words.problems, words.unknown]).toEqual(['app.js', [], []])
    expect(/^USER (.+)$/m.exec(dockerfile)?.[1]).toBe('node')
    expect(Number(/^ENV GRACEFUL_TIMEOUT=(\d+)$/m.exec(dockerfile)?.[1])).toBeLessThan(10)
    expect(dockerfile).toContain(JSON.stringify(check).replaceAll(',', ', '))
  })

  test('compose gives more time than a stop takes, and asks the server for its health', () => {
    const seconds = Number.parseInt(service.stop_grace_period as string, 10)
    expect(seconds).toBeGreaterThan(Number(service.environment.GRACEFUL_TIMEOUT))
    expect(service).toMatchObject({ init: true, read_only: true, tmpfs: ['/tmp'] })
    expect(service.healthcheck.test).toEqual(['CMD', ...check])
  })
})
