// The crash book: how often in a row each slot has ended, and until when it waits.
import { describe, expect, test } from 'vitest'
import { CrashBook } from '../../src/master/crash-book.ts'

const limits = { stableAfter: 10, backoffMax: 4 }

describe('crashes in a row', () => {
  test('are counted, and the waits grow up to the limit', () => {
    const book = new CrashBook()
    const told = [1, 2, 3, 4, 5, 6].map(() => book.crashed({ slot: 0, uptime: 0.1 }, limits, 1_000))
    expect(told.map(({ crashes }) => crashes)).toEqual([1, 2, 3, 4, 5, 6])
    expect(told.map(({ seconds }) => seconds)).toEqual([0, 1, 2, 4, 4, 4])
  })

  test('make the slot wait from now on', () => {
    const book = new CrashBook()
    book.crashed({ slot: 3, uptime: 0.1 }, limits, 1_000)
    expect(book.notBefore.get(3)).toBe(1_000)
    book.crashed({ slot: 3, uptime: 0.1 }, limits, 1_500)
    expect(book.notBefore.get(3)).toBe(2_500)
  })

  test('of different slots have nothing to do with each other', () => {
    const book = new CrashBook()
    book.crashed({ slot: 0, uptime: 0.1 }, limits, 0)
    book.crashed({ slot: 0, uptime: 0.1 }, limits, 0)
    expect(book.crashed({ slot: 1, uptime: 0.1 }, limits, 0)).toEqual({ crashes: 1, seconds: 0 })
    expect(book.notBefore.get(0)).toBe(1_000)
  })

  test('end with a stable time', () => {
    const book = new CrashBook()
    for (let n = 0; n < 5; n++) book.crashed({ slot: 0, uptime: 9.9 }, limits, 0)
    expect(book.crashed({ slot: 0, uptime: 10 }, limits, 0)).toEqual({ crashes: 1, seconds: 0 })
    expect(book.crashed({ slot: 0, uptime: 1 }, limits, 0)).toEqual({ crashes: 2, seconds: 1 })
  })

  test('are forgiven by a reload', () => {
    const book = new CrashBook()
    for (let n = 0; n < 5; n++) book.crashed({ slot: 0, uptime: 0 }, limits, 0)
    book.forgive()
    expect(book.notBefore.size).toBe(0)
    expect(book.crashed({ slot: 0, uptime: 0 }, limits, 0)).toEqual({ crashes: 1, seconds: 0 })
  })
})
