// The time where the server is, for logs that people read. A leaf: of the server's log and of the access log.

/** `ms` since 1970: date and time as toISOString() has them, and the zone as `+0100`. */
export function localTime(ms: number): { readonly iso: string; readonly zone: string } {
  const offset = -new Date(ms).getTimezoneOffset()
  const two = (n: number): string => String(Math.trunc(Math.abs(n))).padStart(2, '0')
  const iso = new Date(ms + offset * 60_000).toISOString()
  return { iso, zone: `${offset < 0 ? '-' : '+'}${two(offset / 60)}${two(offset % 60)}` }
}
