// The dashboard of the jobs at the admin address: who gets there, and what can be done there; in a real Chromium, too.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Browser } from 'playwright-core'
import { chromium, launch, openPage } from './helpers/browser.ts'
import { request, type RequestOptions } from './helpers/client.ts'
import { JobProject, type Web } from './helpers/jobs.ts'
import type { Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const TOKEN = 'only-for-this-test-4711'
const bearer = { authorization: `Bearer ${TOKEN}` }
const QUEUES = '/_jobs/api/queues?activeQueue=jobs&status=failed&page=1&jobsPerPage=10'

let browser: Browser
beforeAll(async () => {
  if (chromium !== undefined) browser = await launch()
}, 60_000)
afterAll(() => browser?.close())

async function start(t: Teardown, others: object): Promise<{ web: Web; admin: string }> {
  const jobs = { workers: 1, dashboard: true }
  const web = await new JobProject(t, jobs, {}, { admin: '127.0.0.1:0', ...others }).all(1)
  return { web, admin: await web.admin() }
}

test('lets in who has the token, and nobody else, and does what is asked there', async (t) => {
  const { web, admin } = await start(t, { adminToken: TOKEN })
  const get = (path: string, headers: RequestOptions['headers'] = {}, method = 'GET') =>
    request(admin, path, { headers, method })
  const failed = await web.enqueue('gives-up')
  await web.reaches(failed, 'failed')
  await web.server.log(/^Jobs dashboard at \/_jobs of the admin address/)
  await until('it answers', async () => (await get('/_jobs/', bearer)).status === 200)

  for (const path of [
    '/_jobs',
    '/_jobs/',
    QUEUES,
    '/_jobs/static/css/main.css',
    '/_jobs/../_jobs/',
  ])
    expect((await get(path)).status, path).toBe(401)
  const retry = `/_jobs/api/queues/jobs/${failed}/retry`
  expect((await get(retry, {}, 'PUT')).status).toBe(401)
  expect((await get(QUEUES, { authorization: 'Bearer wrong' })).status).toBe(401)
  await web.server.log(/token/)
  const opened = await get('/_jobs/', { accept: 'text/html,*/*' })
  expect([opened.status, opened.headers.location]).toEqual([303, '/#jobs-dashboard'])
  expect((await get('/api/dashboard', {}, 'POST')).status).toBe(401)

  const { headers } = await get('/api/dashboard', bearer, 'POST')
  const cookies = String(headers['set-cookie'])
  expect(cookies).toMatch(/; Path=\/_jobs; Max-Age=28800; HttpOnly; SameSite=Strict$/)
  const cookie = cookies.split(';')[0]!
  const own = { cookie, 'sec-fetch-site': 'same-origin' }
  expect((await get(QUEUES, own)).status).toBe(200)
  const [name, pass] = cookie.split('=') as [string, string]
  const [end, seal] = pass.split('.') as [string, string]
  const forged = [`${Number(end) + 1}.${seal}`, `${end}.${seal.slice(1)}`, '1.x', '', TOKEN]
  for (const one of forged)
    expect((await get(QUEUES, { ...own, cookie: `${name}=${one}` })).status, one).toBe(401)
  const foreign = [
    { cookie, 'sec-fetch-site': 'same-site' },
    { cookie, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    { cookie, origin: 'http://127.0.0.1:1' },
    { cookie },
  ]
  for (const one of foreign)
    expect((await get(retry, one, 'PUT')).status, JSON.stringify(one)).toBe(403)
  expect((await get('/api/status', { ...own, host: 'evil.example' })).status, 'for it alone').toBe(
    403,
  )
  expect((await get('/api/commands/reload', own, 'POST')).status, 'for it alone').toBe(401)

  const page = await get('/_jobs/', own)
  expect(page.headers).toMatchObject({
    'x-frame-options': 'DENY',
    'cache-control': 'no-store',
    'content-security-policy': expect.stringContaining("script-src 'self'") as string,
  })
  expect(page.text).toContain('<base href="/_jobs/" />')
  expect(page.text).not.toContain('https:')
  expect((await get('/_jobs/static/%2e%2e/%2e%2e/package.json', own)).status).toBe(404)
  const list = (await get(QUEUES, own)).json<{ queues: { jobs: { id: string }[] }[] }>()
  expect(list.queues[0]!.jobs.map(({ id }) => id)).toEqual([failed])
  expect((await web.status(failed)).attempts).toBe(1)
  expect((await get(retry, own, 'PUT')).status).toBeLessThan(300)
  await until('it was begun again', async () => (await web.status(failed)).attempts === 2)

  const process_ = web.server.lines.findLast((line) => line['group'] === 'jobs-dashboard')!
  process.kill(process_['worker'] as number, 'SIGKILL')
  web.server.expectLog(/^Ended by itself: jobs-dashboard/)
  expect((await web.server.get('/')).text, 'the app goes on').toBe('home')
  await until('it is there again', async () => (await get(QUEUES, own)).status === 200)
})

test('is for nobody where there is no token, and does not even run', async (t) => {
  const { web, admin } = await start(t, {})
  for (const headers of [{}, bearer, { cookie: 'nodicorn_jobs_0=9999999999.x' }])
    expect((await request(admin, '/_jobs/', { headers })).status).not.toBe(200)
  const refused = await request(admin, '/_jobs/')
  expect([refused.status, refused.text]).toEqual([
    403,
    expect.stringContaining('SUPERVISOR_ADMIN_TOKEN'),
  ])
  expect(web.server.lines.some((line) => line['group'] === 'jobs-dashboard')).toBe(false)
})

test.skipIf(chromium === undefined)(
  'is opened from the page, and by who knows the token',
  async (t) => {
    const { web, admin } = await start(t, { adminToken: TOKEN })
    const failed = await web.enqueue('gives-up')
    await web.reaches(failed, 'failed')
    await web.server.log(/^Jobs dashboard at/)
    const page = await openPage(t, browser, { width: 1280 })
    await page.goto(`${admin}/_jobs/queue/jobs?status=failed`)
    await page.getByRole('textbox', { name: 'Token' }).fill(TOKEN)
    await page.getByRole('button', { name: 'Unlock', exact: true }).click()
    await page.waitForURL(/\/_jobs\/$/)
    expect(await page.evaluate('JSON.stringify({ ...sessionStorage }) + document.cookie')).toBe(
      '{}',
    )
    await page.goto(`${admin}/_jobs/queue/jobs?status=failed`)
    await page.getByText('gives-up').first().waitFor()
    await page.getByText('no use').first().waitFor()
    await page.goto(admin)
    await page.getByRole('button', { name: 'Unlock actions' }).click()
    await page.getByRole('textbox', { name: 'Token' }).fill(TOKEN)
    await page.getByRole('button', { name: 'Unlock', exact: true }).click()
    const tab = page.context().waitForEvent('page')
    await page.getByRole('link', { name: 'Open the dashboard' }).click()
    await (await tab).waitForURL(/\/_jobs\/$/)
    await (await tab).close()
    await page.getByRole('button', { name: 'Lock', exact: true }).click()
    await until('the pass is gone', async () => (await page.context().cookies()).length === 0)
  },
)
