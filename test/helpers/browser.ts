// A real Chromium, with whatever a page complains of written down.
import { existsSync } from 'node:fs'
import { expect } from 'vitest'
import type { Browser, Page } from 'playwright-core'
import type { Teardown } from './temp.ts'

/** Where Linux distributions and macOS put it. */
const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking']

/** Undefined where there is none. */
export const chromium: string | undefined = PLACES.find((path) => existsSync(path))

/** One for a whole file: it takes a second to start. Close it in the end. */
export async function launch(): Promise<Browser> {
  const { chromium: driver } = await import('playwright-core')
  return driver.launch({ executablePath: chromium!, args: FLAGS })
}

/** A page of its own, closed after the test; errors, warnings and broken policies on its console fail it. */
export async function openPage(
  t: Teardown,
  browser: Browser,
  { width }: { width: number },
): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    reducedMotion: 'reduce',
  })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  t.onTestFinished(async () => {
    await context.close()
    expect(complaints).toEqual([])
  })
  return page
}

/** Texts that are hard to read: those with less contrast to what is behind them than WCAG AA wants. */
export const faint = (page: Page): Promise<string[]> => page.evaluate(FAINT) as Promise<string[]>

/** Runs in the page. */
const FAINT = `(() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number)
  const channel = (c) => ((c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor)
      if (colour[3] === undefined || colour[3] === 1) return colour
    }
    return [255, 255, 255]
  }
  const hasText = (node) => [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim())
  const isSeen = (node) => node.checkVisibility({ visibilityProperty: true }) && node.getClientRects().length
  return [...document.body.querySelectorAll('*')].filter((node) => hasText(node) && isSeen(node)).flatMap((node) => {
    const [one, other] = [parse(getComputedStyle(node).color), behind(node)].map(luminance)
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
    return ratio < 4.5 ? [node.textContent.trim().slice(0, 40) + ' ' + ratio.toFixed(2)] : []
  })
})()`
