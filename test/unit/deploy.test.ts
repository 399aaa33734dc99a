// What deploy/ offers to Prometheus and Grafana names only metrics that exist, with labels that they have.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { metricNames, metricRow, seriesNames } from '../../src/metric-table.ts'

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
  const used = [...expr.matchAll(/\b((?:nodicorn|http_server)_\w+)(?:\{([^}]*)\})?/g)]
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

  const promtool = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, 'promtool'))
    .find((file) => existsSync(file))

  test('is what promtool accepts, where there is one', () => {
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
