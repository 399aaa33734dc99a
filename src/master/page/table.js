// Tables whose rows become cards where there is no room for them. A column: its title, the text of a cell, whether it is a number, a
// state (drawn as a pill) or wide; `hint`: what a wide cell tells in full.

import { element, setClass, setText } from './draw.js'

export const headOf = ({ title, number }) =>
  element('th', { role: 'columnheader', scope: 'col', ...(number && { class: 'number' }) }, title)

/** A row with a cell for each column, and `more` behind them. */
export const rowOf = (columns, ...more) =>
  element('tr', { role: 'row' }, ...columns.map(cellOf), ...more)

const cellOf = ({ title, number, wide, state }) =>
  element(
    'td',
    { role: 'cell', 'data-label': title, class: number ? 'number' : wide ? 'wide' : '' },
    ...(state ? [element('span', { class: 'pill' })] : []),
  )

export function drawRow(columns, row, item) {
  columns.forEach(({ text, state, wide, hint }, n) => {
    const cell = row.children[n]
    setText(state ? cell.firstElementChild : cell, text(item))
    if (state) setClass(cell.firstElementChild, `pill ${item.state}`)
    if (wide) cell.title = hint?.(item) ?? ''
  })
  setClass(row, item.state)
}
