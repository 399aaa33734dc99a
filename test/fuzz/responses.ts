// Responses as they came over one connection, read as strictly as a client could. Throws at the first that is malformed.

export interface Response {
  readonly status: number
  readonly body: string
}

const STATUS = /^HTTP\/1\.1 (\d{3}) [ -~]*$/
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)$/

/** All of them; the last one may lack a length and go on until the end. */
export function responsesIn(text: string): Response[] {
  const all: Response[] = []
  for (let rest = text; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) throw new Error(`not a whole head: ${JSON.stringify(rest)}`)
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n')
    const status = STATUS.exec(first)?.[1]
    if (status === undefined) throw new Error(`not a status line: ${JSON.stringify(first)}`)
    const headers = new Map(lines.map(fieldOf))
    const after = rest.slice(end + 4)
    const { body, left } = bodyOf(Number(status), headers, after)
    all.push({ status: Number(status), body })
    rest = left
  }
  return all
}

function fieldOf(line: string): [string, string] {
  const [, name, value] = FIELD.exec(line) ?? []
  if (name === undefined) throw new Error(`not a field: ${JSON.stringify(line)}`)
  return [name.toLowerCase(), value!.trim()]
}

function bodyOf(
  status: number,
  headers: ReadonlyMap<string, string>,
  text: string,
): { body: string; left: string } {
  if (status < 200 || status === 204 || status === 304) return { body: '', left: text }
  if (headers.get('transfer-encoding') === 'chunked') return unchunked(text)
  const length = headers.get('content-length')
  if (length === undefined) return { body: text, left: '' }
  if (!/^\d+$/.test(length) || text.length < Number(length))
    throw new Error(`a body of ${text.length} bytes, its length is ${length}`)
  return { body: text.slice(0, Number(length)), left: text.slice(Number(length)) }
}

function unchunked(text: string): { body: string; left: string } {
  let body = ''
  for (let rest = text; ;) {
    const [line, size] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? []
    if (size === undefined) throw new Error(`not a chunk: ${JSON.stringify(rest)}`)
    const from = line!.length
    const to = from + parseInt(size, 16)
    if (rest.slice(to, to + 2) !== '\r\n') throw new Error('a chunk without its end')
    body += rest.slice(from, to)
    rest = rest.slice(to + 2)
    if (to === from) return { body, left: rest }
  }
}
