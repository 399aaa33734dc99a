// Numbers, times and tables for people. Pure. Runs in the CLI.

/** 0.0032 -> `3.2ms`, 45 -> `45s`, 7500 -> `2h05m`. */
export function duration(seconds: number | null): string {
  if (seconds === null) return '-'
  if (seconds < 0.0095) return `${(seconds * 1000).toFixed(1)}ms`
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)}ms`
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`
  if (seconds < 99.5) return `${Math.round(seconds)}s`
  const two = (n: number): string => String(Math.floor(n)).padStart(2, '0')
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two((seconds % 3600) / 60)}m`
  return `${Math.floor(seconds / 86_400)}d${two((seconds % 86_400) / 3600)}h`
}

export const size = (bytes: number | null): string =>
  bytes === null
    ? '-'
    : bytes < 1024 ** 3
      ? `${Math.round(bytes / 1024 ** 2)}MB`
      : `${(bytes / 1024 ** 3).toFixed(1)}GB`

export const rate = (perSecond: number): string =>
  perSecond === 0 ? '0' : perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond))

/** 12345 -> `12,345` */
export const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ',')

export const percent = (share: number | null): string =>
  share === null ? '-' : `${Math.round(share * 100)}%`

/** A URL, an error: whatever a client or an application chose must not steer the terminal. */
export const harmless = (text: string): string =>
  text.replace(
    /[\x00-\x1f\x7f-\x9f]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )

export interface Column {
  readonly title: string
  readonly align?: 'right'
}

/** Lines with columns as wide as they must be; the last one is cut at `width`. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = Infinity,
): string[] {
  const widths = columns.map(({ title }, n) =>
    Math.max(title.length, ...rows.map((row) => (row[n] ?? '').length)),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, n) =>
        columns[n]!.align === 'right'
          ? cell.padStart(widths[n]!)
          : n === columns.length - 1
            ? cell
            : cell.padEnd(widths[n]!),
      )
      .join('  ')
      .trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map(line)].map((one) =>
    one.length > width ? `${one.slice(0, width - 1)}…` : one,
  )
}
