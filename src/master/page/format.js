// Numbers and times as people read them.

/** 0.0032 -> `3.2 ms`, 45 -> `45 s`, 7500 -> `2 h 05 m`; null is not known. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–'
  if (seconds < 0.0095) return `${(seconds * 1000).toFixed(1)} ms`
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 99.5) return `${Math.round(seconds)} s`
  const two = (n) => String(Math.floor(n)).padStart(2, '0')
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} m`
  return `${Math.floor(seconds / 86_400)} d ${two((seconds % 86_400) / 3600)} h`
}

export const size = (bytes) =>
  bytes === null
    ? '–'
    : bytes < 1024 ** 3
      ? `${Math.round(bytes / 1024 ** 2)} MB`
      : `${(bytes / 1024 ** 3).toFixed(1)} GB`

export const rate = (perSecond) =>
  perSecond === 0 ? '0' : perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))

export const count = (n) => n.toLocaleString('en')

export const percent = (share) => `${Math.round(share * 100)} %`

/** The time of day, here. */
export const clock = (iso) => new Date(iso).toLocaleTimeString('en', { hour12: false })

export const ago = (iso) => {
  const seconds = (Date.now() - Date.parse(iso)) / 1000
  return seconds < 2 ? 'just now' : `${duration(Math.floor(seconds))} ago`
}

export const restartText = (last) => (last === null ? 'none' : `${last.reason}, ${ago(last.at)}`)

export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`
