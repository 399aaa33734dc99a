// The DOM, by a few functions. Text is only ever set as text: URLs of requests are in the words of whoever sends them.

export const byId = (id) => document.getElementById(id)

/** `element('td', { class: 'number', 'data-label': 'RSS' }, 'text' or other elements)`. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.append(...children)
  return made
}

/** Nothing is touched that is the same: what is selected, focused or read aloud stays. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

export function setClass(node, names) {
  if (node.className !== names) node.className = names
}

/** The children of `parent`, one for each item, in their order; those of the same key stay the same. */
export function keyed(parent, items, keyOf, make, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]))
  let place = parent.firstElementChild
  for (const item of items) {
    const key = String(keyOf(item))
    let child = old.get(key)
    if (child) old.delete(key)
    else {
      child = make(item)
      child.dataset.key = key
    }
    update?.(child, item)
    if (child === place) place = place.nextElementSibling
    else parent.insertBefore(child, place)
  }
  for (const child of old.values()) child.remove()
}

const SVG = 'http://www.w3.org/2000/svg'
const WIDTH = 120
const HEIGHT = 32

/** A line of values, from 0 up; as wide as it can be when there are `fewest` of them. */
export function sparkline(label, fewest) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', label)
  svg.setAttribute('class', 'spark')
  const [area, line] = ['path', 'path'].map((name) =>
    svg.appendChild(document.createElementNS(SVG, name)),
  )
  area.setAttribute('class', 'area')
  line.setAttribute('class', 'line')
  line.setAttribute('vector-effect', 'non-scaling-stroke')
  const draw = (values) => {
    const top = Math.max(...values, 1e-9) * 1.1
    const span = Math.max(values.length, fewest)
    const x = (n) => (((n + span - values.length) / (span - 1)) * WIDTH).toFixed(1)
    const y = (value) => (HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1)
    const points = values.map((value, n) => `${x(n)},${y(value)}`)
    const path = points.length > 1 ? `M${points.join('L')}` : ''
    line.setAttribute('d', path)
    area.setAttribute('d', path && `${path}V${HEIGHT}H${x(0)}Z`)
  }
  return { svg, draw }
}
