// The comparisons with other servers: who is called better, and what is written of it.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { Tally } from '../../bench/faults/clients.ts'
import * as faults from '../../bench/faults/table.ts'
import { pictureOf } from '../../bench/side-by-side/picture.ts'
import * as sides from '../../bench/side-by-side/table.ts'

const header = {
  machine: { machine: '2 x <CPU>', node: 'v24.0.0', date: '2026-11-23' },
  peers: ['ours', 'bare', 'puma'].map((name) => ({
    name,
    title: name.toUpperCase(),
    version: '1',
  })),
  leftOut: [{ title: 'Watt', why: 'it needs Node 22.19' }],
}

const tally = (ends: Partial<Tally['ends']>, longest = 500): Tally => ({
  ends: { ok: 0, '503/504': 0, error: 0, reset: 0, refused: 0, hung: 0, ...ends },
  longest,
})

const row = (id: string, better: 'more' | 'less', figures: Record<string, number[]>) => {
  const all = { ours: [], bare: [], puma: [], ...figures }
  return { id, what: id, unit: '/s', better, figures: all } as const
}

describe('npm run bench', () => {
  const fast = row('kept-64', 'more', { ours: [12_000, 13_000, 14_000], bare: [10_000] })
  const light = row('memory', 'less', { ours: [60], bare: [40], puma: [50] })

  test('writes medians, how far the rounds were apart, ratios to node:cluster, and the best in bold', () => {
    const text = sides.markdownOf({ header, rows: [fast, light], notes: ['puma: no answer'] })
    expect(text).toContain('| kept-64, /s | **13,000 ±8 % (1.30)** | 10,000 | – |')
    expect(text).toContain('| memory, /s | 60 (1.50) | **40** | 50 (1.25) |')
    expect(text).toContain('Watt is left out: it needs Node 22.19')
    expect(text).toContain('- puma: no answer')
  })

  test('draws what was measured, and says so of what was not', () => {
    const picture = pictureOf({ header, rows: [fast], notes: [] })
    expect(picture).toContain('2 x &lt;CPU&gt;')
    expect(picture.match(/<rect /g)).toHaveLength(3)
    expect(picture).toMatch(/PUMA<\/text><rect [^>]*width="0.0"[^>]*\/><text [^>]*>none</)
  })

  test('knows its peers and rows, and no others', async () => {
    const main = fileURLToPath(new URL('../../bench/side-by-side/main.ts', import.meta.url))
    const bench = (...flags: string[]): Promise<{ stdout: string }> =>
      promisify(execFile)(process.execPath, ['--import', 'tsx', main, ...flags])
    const [{ stdout }, error] = await Promise.all([
      bench('--list'),
      bench('--rows', 'speed').catch((failure: unknown) => failure),
    ])
    expect(stdout).toMatch(/^peer {2}ours +Nodicorn\npeer {2}bare +node:cluster$/m)
    expect(stdout).toMatch(/^row {3}recovery$/m)
    expect(error).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--rows speed: it must be one of idle,') as string,
    })
  })
})

describe('npm run bench:faults', () => {
  const few = tally({ ok: 997, hung: 3 }, 6_000)

  test.each<[string, Tally, Tally, string[]]>([
    ['nobody, when nothing fails', tally({ ok: 500 }), tally({ ok: 900 }), []],
    [
      'who loses none',
      tally({ ok: 1000 }),
      few,
      ['fewer lost', 'fewer that failed', 'a shorter longest wait'],
    ],
    [
      'nobody, when it may be chance',
      tally({ ok: 988, reset: 8 }),
      tally({ ok: 988, reset: 12 }),
      [],
    ],
    [
      'who says 503 rather than nothing',
      tally({ ok: 986, '503/504': 14 }),
      few,
      ['fewer lost', 'a shorter longest wait'],
    ],
    ['not who cuts what would take long', tally({ reset: 32 }, 100), tally({ ok: 32 }, 1_500), []],
    ['nobody for having asked more often', tally({ ok: 9_990, hung: 10 }, 6_000), few, []],
  ])('calls better %s', (_, one, other, how) => {
    expect(faults.better(one, other)).toEqual(how)
  })

  test('says where somebody is better than ours, and why', () => {
    const [ours, puma] = [
      tally({ ok: 900, '503/504': 14 }, 2_300),
      tally({ ok: 900, hung: 1 }, 6_000),
    ]
    const seen = { ours, puma, bare: 'it <has> none' }
    const results = { header, rows: [{ name: 'blocked', what: 'blocked', seen }] }
    const text = faults.markdownOf(results)
    expect(text).toContain(
      '| blocked | 14 503/504 of 914; 2.3 s | it <has> none | 1 hung of 901; 6.0 s |',
    )
    expect(text).toContain('- blocked: PUMA has fewer that failed: a thread for each request')
    const html = faults.htmlOf(results)
    expect(html).toContain('<td class="told">14 503/504 of 914; 2.3 s</td>')
    expect(html).toContain('<td class="none">it &lt;has&gt; none</td>')
    expect(html).toContain('<td class="lost">1 hung of 901; 6.0 s</td>')
  })
})
