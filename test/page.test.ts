// The page of the admin address, in a real Chromium.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Browser, Page } from 'playwright-core'
import { chromium, faint, launch, openPage } from './helpers/browser.ts'
import { request } from './helpers/client.ts'
import { controlPlace, runCommand } from './helpers/command.ts'
import { JobProject } from './helpers/jobs.ts'
import { isAlive, openFiles } from './helpers/process.ts'
import { startServer, type Server } from './helpers/server.ts'
import type { Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const TOKEN = 'only-for-this-test-4711'
const DESKTOP = { width: 1280 }
const PHONE = { width: 360 }
const isLinux = process.platform === 'linux'

if (chromium === undefined)
  console.error(
    'test/page.test.ts is skipped: there is no Chromium (apt-get install -y --no-install-recommends chromium)',
  )

let browser: Browser
beforeAll(async () => {
  if (chromium !== undefined) browser = await launch()
}, 60_000)
afterAll(() => browser?.close())

async function start(t: Teardown, ...flags: string[]): Promise<{ server: Server; admin: string }> {
  const env = { SUPERVISOR_ADMIN_TOKEN: TOKEN }
  const all = ['--admin', '127.0.0.1:0', '--workers', '2', ...flags]
  const server = await startServer(t, 'hello-export.js', ...all, { env })
  const { url } = (await server.log(/^Admin address: /)) as unknown as { url: string }
  return { server, admin: url }
}

async function open(t: Teardown, admin: string, look: { width: number }): Promise<Page> {
  const page = await openPage(t, browser, look)
  await page.goto(admin)
  await page.getByText('Live', { exact: true }).waitFor()
  return page
}

async function unlock(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Unlock actions' }).click()
  await page.getByRole('textbox', { name: 'Token' }).fill(TOKEN)
  await page.getByRole('button', { name: 'Unlock', exact: true }).click()
  await page.getByRole('button', { name: 'Reload' }).waitFor()
}

const threeReady = (page: Page): Promise<unknown> =>
  until('three are ready', async () => (await page.locator('#workers tr.ready').count()) === 3)

const countOf = (page: Page, selector: string, text: string | RegExp): Promise<number> =>
  page.locator(selector).filter({ hasText: text }).count()

describe.skipIf(chromium === undefined)('the page', { timeout: 120_000 }, () => {
  test.concurrent(
    'shows the workers and their requests, and a timeout as it happens, whatever its URL says',
    async (t) => {
      const { server, admin } = await start(t, '--timeout', '8')
      server.expectLog(/^REQUEST TIMEOUT/)
      const page = await open(t, admin, DESKTOP)
      const table = page.getByRole('table', { name: 'Workers' })
      await until('it has two workers', async () => (await table.getByRole('row').count()) === 3)
      for (const pid of server.pids()) await table.getByText(String(pid)).waitFor()
      for (const name of ['Slot', 'State', 'Requests', 'p99', 'Loop delay', 'RSS', 'Last restart'])
        await table.getByRole('columnheader', { name, exact: true }).waitFor()
      const attack = '/never?<img/src=x/onerror=alert(1)><script>alert(2)</script>'
      const answer = server.get(attack)
      await page.locator('#requests').getByText(attack).waitFor()
      const share = page.getByRole('meter').first()
      await until(
        'its share grows',
        async () => Number(await share.getAttribute('aria-valuenow')) > 5,
      )
      expect((await answer).status).toBe(504)
      await page.locator('#timeouts').getByText(attack).waitFor()
      await page.locator('#events').getByText(attack).first().waitFor()
      expect(await page.locator('img, main script').count()).toBe(0)
      await page.getByText('No request is in flight').waitFor()
    },
  )

  test.concurrent('shows who blocks a worker, and where, when it was killed', async (t) => {
    const { server, admin } = await start(t, '--timeout', '6')
    server.expectLog(/^WORKER TIMEOUT/)
    const page = await open(t, admin, PHONE)
    server.get('/block?ms=60000').catch(() => undefined) // 504 or a closed connection
    await page.locator('#workers').getByText('blocked', { exact: true }).waitFor()
    const entry = page.locator('#timeouts details')
    await entry.getByText(/WORKER TIMEOUT/).click()
    await entry
      .locator('pre')
      .getByText(/routes\.js/)
      .waitFor()
    await page
      .locator('#workers')
      .getByText(/^(timeout|stall), /)
      .waitFor()
  })

  test('changes things only with the token, and the log says that it was the page', async (t) => {
    const { server, admin } = await start(t)
    const page = await open(t, admin, DESKTOP)
    expect(await page.getByRole('button').allTextContents()).toEqual(['Unlock actions'])
    await page.getByRole('button', { name: 'Unlock actions' }).press('Enter')
    await page.getByRole('textbox', { name: 'Token' }).fill('wrong')
    await page.getByRole('textbox', { name: 'Token' }).press('Enter')
    await page.getByText('This is not the token.').waitFor()
    await page.getByRole('textbox', { name: 'Token' }).press('Escape')
    await unlock(page)
    await page.getByRole('button', { name: 'Reload' }).click()
    await server.log(/^Handling command: reload \(page \(127\.0\.0\.1\)\)$/)
    await page.getByText(/^Reloaded /).waitFor()
    await page.getByRole('button', { name: 'One worker more' }).click()
    await server.log(/^Workers: 2 -> 3$/)
    await threeReady(page)
    await page
      .getByRole('button', { name: /^Recycle worker/ })
      .first()
      .click()
    await server.log(/^Worker exited .*: asked$/)
    await page.reload()
    await page.getByRole('button', { name: 'Lock', exact: true }).click()
    expect(await page.getByRole('button').allTextContents()).toEqual(['Unlock actions'])
    expect(await page.evaluate('JSON.stringify({ ...sessionStorage }) + document.cookie')).toBe(
      '{}',
    )
  })

  test('asks for the token first where others can reach it, and shows nothing without', async (t) => {
    const { server, admin } = await start(t, '--admin', '0.0.0.0:0')
    const page = await openPage(t, browser, PHONE)
    await page.goto(admin.replace('0.0.0.0', '127.0.0.1'))
    const field = page.getByRole('textbox', { name: 'Token' })
    await field.fill('wrong')
    await field.press('Enter')
    await page.getByText('This is not the token.').waitFor()
    expect(await page.locator('#workers tr').count()).toBe(0)
    await field.fill(TOKEN)
    await field.press('Enter')
    await page.locator('#workers').getByText(String(server.pids()[0])).waitFor()
    await page.reload()
    await page.getByText('Live', { exact: true }).waitFor()
  })

  test('is readable on a desk and on a phone, by day and by night', async (t) => {
    const { server, admin } = await start(t, '--timeout', '1', '--slow-ratio', '0.3')
    server.expectLog(/^REQUEST TIMEOUT/)
    const page = await open(t, admin, DESKTOP)
    await server.get(`/never?${'a-long-word-without-a-break'.repeat(20)}`)
    await page.locator('#timeouts li').waitFor()
    await unlock(page)
    const unreadable: unknown[] = []
    for (const { width } of [DESKTOP, PHONE])
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.setViewportSize({ width, height: 900 })
        await page.emulateMedia({ colorScheme })
        const texts = await faint(page)
        const content = Number(await page.evaluate('document.documentElement.scrollWidth'))
        if (texts.length > 0 || content > width)
          unreadable.push({ colorScheme, width, content, texts })
      }
    expect(unreadable).toEqual([])
    await page.getByRole('button', { name: 'Lock', exact: true }).click()
    await page.getByRole('button', { name: 'Unlock actions' }).click()
    expect(await faint(page), 'the dialog in the dark').toEqual([])
  })

  test('shows what the jobs are at, what has failed and why, on a phone in the dark too', async (t) => {
    const env = controlPlace(t)
    const jobs = { workers: 1, concurrency: 1, grace: '1s' }
    const project = new JobProject(t, jobs, env, { admin: '127.0.0.1:0' })
    const web = await project.all(1)
    const page = await open(t, await web.admin(), DESKTOP)
    const panel = page.getByRole('region', { name: 'Jobs' })
    await web.reaches(await web.enqueue('fails'), 'failed')
    await web.enqueue(`<b>${'a-long-name'.repeat(20)}`)
    const long = await web.enqueue('work', { ms: 600_000 })
    await web.enqueue('add', { a: 1, b: 1 })
    await web.enqueue('add', { a: 1, b: 1 }, { delay: 600 })
    await panel.getByText(new RegExp(`^work for .*, ${long}$`)).waitFor()
    const number = (title: string) => panel.locator('.numbers > div', { hasText: title })
    for (const [title, text] of Object.entries({
      Waiting: '1',
      Active: '1',
      Delayed: '1',
      Failed: '2',
    }))
      await number(title).getByText(text, { exact: true }).waitFor()
    await number('Oldest waiting').getByText(/^\d/).waitFor()
    await panel.getByText(/after 3 attempts: broken 3$/).waitFor()
    await panel.getByText(/no job "<b>a-long-name/).waitFor()
    const table = panel.getByRole('table', { name: 'Job processes' })
    await until(
      'it has the store and a process',
      async () => (await table.getByRole('row').count()) === 3,
    )
    expect(await table.getByText(/^\d+ MB$/).count(), 'with their memory').toBe(2)
    const unreadable: unknown[] = []
    for (const { width } of [DESKTOP, PHONE]) {
      await page.setViewportSize({ width, height: 900 })
      await page.emulateMedia({ colorScheme: 'dark' })
      const content = Number(await page.evaluate('document.documentElement.scrollWidth'))
      const texts = await faint(page)
      if (texts.length > 0 || content > width) unreadable.push({ width, content, texts })
    }
    expect(unreadable).toEqual([])
    const { stdout } = await runCommand(env, ['status'], project.dir)
    expect(stdout).toMatch(
      /^  jobs: 1 waiting \(for .+\), 1 active, 1 delayed, 2 failed, 0 completed$/m,
    )
  })

  test('is loaded anew twenty times, and follows the server to a new master, without a trace', async (t) => {
    const { server, admin } = await start(t)
    const page = await open(t, admin, PHONE)
    const before = isLinux ? openFiles(server.pid) : 0
    for (let n = 0; n < 20; n++) await page.reload()
    await page.getByText('Live', { exact: true }).waitFor()
    if (isLinux)
      await until('one connection is left of them', () => openFiles(server.pid) <= before + 2)
    const [old] = server.masters()
    server.signal('SIGUSR2')
    const { master } = (await server.log(/^Upgraded/)) as unknown as { master: number }
    await page.getByText(`master ${master}`).waitFor()
    await until('the old master is gone', () => !isAlive(old!))
    await page.getByText('Live', { exact: true }).waitFor()
    const headers = { authorization: `Bearer ${TOKEN}` }
    const options = { method: 'POST', headers, body: '{"by":1}' }
    expect((await request(admin, '/api/commands/scale', options)).status).toBe(200)
    await page.locator('#events').getByText('Workers: 2 -> 3').waitFor()
    await threeReady(page)
    expect(await countOf(page, '#events li', 'Workers: 2 -> 3'), 'told once').toBe(1)
  })
})
