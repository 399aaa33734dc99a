// The page of the admin address: draws what the server tells, and gives its commands to who has the token. All lists are bounded.

import { byId, element, keyed, setClass, setText, sparkline } from './draw.js'
import { drawEvents, forget, remember } from './events.js'
import { ago, count, duration, percent, plural, rate, restartText, size } from './format.js'
import { drawJobs, enterDashboard, leaveDashboard } from './jobs.js'
import { ask, Live, token } from './live.js'
import { drawRow, headOf, rowOf } from './table.js'

/** Of the lines in the tiles, seconds. */
const HISTORY = 120
const FEWEST = 30

// --- tiles ---

const tileRows = [
  {
    id: 'rate',
    title: 'Requests/s',
    of: (s) => s.perSecond,
    text: (s) => rate(s.perSecond),
  },
  {
    id: 'p99',
    title: 'Latency p99',
    of: (s) => s.p99 ?? 0,
    text: (s) => duration(s.p99),
    note: (s) => `p50 ${duration(s.p50)}`,
  },
  {
    id: 'inflight',
    title: 'In flight',
    of: (s) => s.inFlight,
    text: (s) => count(s.inFlight),
    note: (s) => `${count(s.queued)} queued`,
  },
  {
    id: 'ready',
    title: 'Workers ready',
    of: (s) => s.ready,
    text: (s) => `${s.ready} of ${s.target}`,
    note: (s) => (s.standby ? `${s.standby} on standby` : `generation ${s.generation}`),
  },
]

const tiles = tileRows.map((row) => {
  const value = element('p', { class: 'value', id: `tile-${row.id}` }, '–')
  const note = element('p', { class: 'muted' }, '\u00a0')
  const { svg, draw } = sparkline(`${row.title}, the last two minutes`, FEWEST)
  const head = element('h3', {}, row.title)
  byId('tiles').append(element('div', { class: 'tile' }, head, value, note, svg))
  const history = []
  return (status) => {
    if (history.push(row.of(status)) > HISTORY) history.shift()
    setText(value, row.text(status))
    if (row.note) setText(note, row.note(status))
    else setText(note, `${count(status.requests)} in all`)
    draw(history)
  }
})

// --- workers ---

const loopText = ({ state, loopDelay }) =>
  state === 'blocked' ? `blocked ${duration(loopDelay)}` : duration(loopDelay)

const columns = [
  { title: 'Slot', text: (w) => String(w.slot), number: true },
  { title: 'PID', text: (w) => String(w.pid), number: true },
  { title: 'State', text: (w) => w.state, state: true },
  { title: 'Age', text: (w) => duration(w.age), number: true },
  { title: 'Requests', text: (w) => count(w.requests), number: true },
  { title: 'In flight', text: (w) => count(w.inFlight), number: true },
  { title: 'Per second', text: (w) => rate(w.perSecond), number: true },
  { title: 'p50', text: (w) => duration(w.p50), number: true },
  { title: 'p99', text: (w) => duration(w.p99), number: true },
  { title: 'Loop delay', text: loopText, number: true },
  { title: 'RSS', text: (w) => size(w.rss), number: true },
  { title: 'Restarts', text: (w) => count(w.restarts), number: true },
  {
    title: 'Last restart',
    text: (w) => restartText(w.lastRestart),
    wide: true,
    hint: (w) => w.lastRestart?.story,
  },
]

byId('columns').append(
  ...columns.map(headOf),
  element(
    'th',
    { role: 'columnheader', scope: 'col', class: 'act' },
    element('span', { class: 'unseen' }, 'Action'),
  ),
)

function makeWorker({ slot, pid }) {
  const button = element(
    'button',
    { type: 'button', 'aria-label': `Recycle worker ${pid}` },
    'Recycle',
  )
  button.addEventListener(
    'click',
    () => void command('recycle', { slot }, `Recycling worker ${pid}`),
  )
  return rowOf(columns, element('td', { role: 'cell', class: 'act' }, button))
}

// --- requests in flight ---

function makeRequest() {
  const what = element('p', { class: 'url' }, element('b'), element('span'))
  const bar = element(
    'div',
    { class: 'bar', role: 'meter', 'aria-valuemin': '0', 'aria-valuemax': '100' },
    element('i'),
  )
  return element('li', {}, what, bar, element('p', { class: 'muted' }))
}

function drawRequest(item, { method, url, age, timeout, share, pid }) {
  const [what, bar, facts] = item.children
  setText(what.firstElementChild, method)
  setText(what.lastElementChild, url)
  what.lastElementChild.title = url
  const shown = Math.min(1, share ?? 0)
  bar.firstElementChild.style.width = `${shown * 100}%`
  setClass(bar, share >= 1 ? 'bar late' : share >= 0.5 ? 'bar slow' : 'bar')
  bar.setAttribute('aria-valuenow', String(Math.round(shown * 100)))
  bar.setAttribute('aria-label', `Share of the deadline of ${method} ${url}`)
  const of = timeout ? ` of ${duration(timeout)} (${percent(share)})` : ', no deadline'
  setText(facts, `${duration(age)}${of}, worker ${pid}`)
}

function drawRequests({ requests, more }) {
  const seen = new Map()
  const keyOf = ({ pid, method, url }) => {
    const same = `${pid} ${method} ${url}`
    seen.set(same, (seen.get(same) ?? 0) + 1)
    return `${same} ${seen.get(same)}`
  }
  keyed(byId('requests'), requests, keyOf, makeRequest, drawRequest)
  byId('idle').hidden = requests.length > 0
  setText(byId('more'), more > 0 ? `and ${count(more)} more` : '')
}

// --- the whole ---

let target = 0

function drawStatus(status) {
  const { name, state, version, node, uptime, pid, urls, reload, workers } = status
  target = status.target
  document.title = `${name}: ${state}`
  setText(byId('name'), name)
  setText(byId('state'), state)
  setClass(byId('state'), `pill ${state}`)
  setText(
    byId('about'),
    `${urls.join(', ')} · up ${duration(uptime)} · master ${pid}, nodicorn ${version}, Node ${node}`,
  )
  for (const draw of tiles) draw(status)
  setText(byId('reload'), reloadText(reload))
  keyed(
    byId('workers'),
    workers,
    ({ pid: key }) => key,
    makeWorker,
    (row, one) => drawRow(columns, row, one),
  )
  drawJobs(status)
}

function reloadText({ state, at, seconds, error }) {
  if (state === 'running') return 'Reloading: new workers start before the old ones leave'
  if (state === 'done') return `Reloaded ${ago(at)}, in ${duration(seconds)}`
  return state === 'failed' ? `The last reload failed ${ago(at)}: ${error}` : ''
}

let isDue = false
function hear(event, data) {
  if (event === 'picture') {
    drawStatus(data.status)
    return drawRequests(data.requests)
  }
  if (event === 'hello') {
    forget()
    remember(data.events)
  } else if (event === 'event') remember([data])
  if (isDue) return
  isDue = true // many events at once are drawn once
  requestAnimationFrame(() => {
    isDue = false
    drawEvents()
  })
}

const LINKS = {
  live: 'Live',
  ended: 'Connection lost, trying again',
  lost: 'Connection lost, trying again',
  locked: 'Locked: the admin token is needed',
}

function tell(state) {
  setText(byId('link'), LINKS[state])
  document.body.dataset.link = state
  if (state !== 'locked') return
  if (!isUnlocked()) return openLogin()
  token.forget() // it is none any more; perhaps none is needed
  drawLock()
  live.start()
}

const live = new Live(hear, tell)

// --- the token and what it allows ---

const NO_TOKEN = 'Actions need a token: start the server with SUPERVISOR_ADMIN_TOKEN.'

async function session(secret) {
  const answer = await ask('/api/session', { secret })
  return await answer.json()
}

/** Where a token is needed, none is no reason to ask in vain. */
async function begin() {
  drawLock()
  if (isForDashboard()) openLogin()
  const { needsToken } = await session(token.get())
  if (needsToken && !isUnlocked()) tell('locked')
  else live.start()
}

/** Who opened the dashboard without a pass is sent here for it. The token is not kept in a tab that goes on to there. */
const isForDashboard = () => location.hash === '#jobs-dashboard'

async function goToDashboard(secret) {
  const path = await enterDashboard(secret)
  if (path) location.replace(path)
  else setText(byId('login-error'), 'There is no dashboard here.')
}

const isUnlocked = () => token.get() !== null

function drawLock() {
  byId('actions').hidden = !isUnlocked()
  document.body.classList.toggle('unlocked', isUnlocked())
  setText(byId('lock'), isUnlocked() ? 'Lock' : 'Unlock actions')
  byId('lock').hidden = false
}

function openLogin() {
  setText(byId('login-error'), '')
  if (!byId('login').open) byId('login').showModal()
}

async function login(event) {
  event.preventDefault()
  const given = byId('token').value.trim()
  const { isAuthorized, hasToken } = await session(given)
  if (!isAuthorized) {
    return setText(byId('login-error'), hasToken ? 'This is not the token.' : NO_TOKEN)
  }
  if (isForDashboard()) return goToDashboard(given)
  token.set(given)
  byId('token').value = ''
  byId('login').close()
  drawLock()
  live.start()
}

async function toggleLock() {
  if (!isUnlocked()) {
    const { hasToken } = await session(null)
    return hasToken ? openLogin() : toast(NO_TOKEN)
  }
  void leaveDashboard()
  token.forget()
  drawLock()
  live.start()
}

let toastTimer
function toast(text, isBad = false) {
  clearTimeout(toastTimer)
  setText(byId('toast'), text)
  setClass(byId('toast'), isBad ? 'toast bad' : 'toast')
  toastTimer = setTimeout(() => setText(byId('toast'), ''), 6_000)
}

async function command(name, args, done) {
  try {
    const answer = await ask(`/api/commands/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(args),
    })
    const { error } = await answer.json()
    toast(error ? error.message : done, Boolean(error))
  } catch (error) {
    toast(`The server did not answer: ${error.message}`, true)
  }
}

const scale = (by) => command('scale', { by }, `${plural(target + by, 'worker')} from now on`)
const commands = {
  reload: () => command('reload', {}, 'Reloading'),
  more: () => scale(1),
  fewer: () => scale(-1),
}

for (const button of byId('actions').children)
  button.addEventListener('click', () => void commands[button.dataset.command]())
byId('lock').addEventListener('click', () => void toggleLock())
byId('cancel').addEventListener('click', () => byId('login').close())
byId('login-form').addEventListener('submit', (event) => void login(event))
void begin()
