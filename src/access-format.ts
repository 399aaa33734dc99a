// The format of the access log as people write it: Gunicorn's %(atoms)s, its words, and where a wrong one is wrong. A leaf.

/** Gunicorn's: a letter each, see its access_log_format. */
const GUNICORN = 'h l u t r m U q H s st B b f a T D M L p'.split(' ')
const OURS = ['id', 'slot', 'queued', 'outcome', 'route']
const KNOWN = new Set([...GUNICORN, ...OURS])

/** `i`: a header of the request; `o`: of the response; `e`: a variable, as WSGI and the environment have them. */
export type Source = 'i' | 'o' | 'e'

/** Text that stays as it is, an atom, or an atom with a name: `%({Host}i)s`. */
export type Piece =
  string | { readonly atom: string } | { readonly of: Source; readonly name: string }

/** What is wrong, and where: from 0. */
export interface FormatFault {
  readonly at: number
  readonly why: string
}

const COMMON = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s'
const COMBINED = `${COMMON} "%(f)s" "%(a)s"`

/** Words that stand for a format. `auto` is one of the others: JSON, or for people `combined` and the seconds. */
export const FORMAT_WORDS: Readonly<Record<string, string>> = {
  auto: `${COMBINED} %(L)s`,
  common: COMMON,
  combined: COMBINED,
  json: 'json',
}

/** The format that a setting means: `json`, or text with atoms. */
export const meantFormat = (setting: string, isForPeople: boolean): string =>
  setting === 'auto' && !isForPeople ? 'json' : (FORMAT_WORDS[setting] ?? setting)

const ATOM = /%\((?:\{([^{}]+)\}([a-z])|([^(){}]*))\)([a-z]?)/y

/** The pieces of a format with atoms, or what is wrong with it. */
export function parseFormat(format: string): Piece[] | FormatFault {
  const pieces: Piece[] = []
  let text = ''
  for (let at = 0; at < format.length;) {
    if (format[at] !== '%') {
      if (/[\x00-\x08\x0a-\x1f\x7f]/.test(format[at]!))
        return { at, why: 'a line may not have control characters' }
      text += format[at++]
    } else if (format[at + 1] === '%') {
      text += '%'
      at += 2
    } else {
      ATOM.lastIndex = at
      const found = ATOM.exec(format)
      const piece = found ? pieceOf(found) : 'an atom is written as %(h)s, a percent sign as %%'
      if (typeof piece === 'string') return { at, why: piece }
      if (text !== '') pieces.push(text)
      text = ''
      pieces.push(piece)
      at = ATOM.lastIndex
    }
  }
  return text === '' ? pieces : [...pieces, text]
}

/** A text: why it is none. */
function pieceOf(found: RegExpExecArray): Exclude<Piece, string> | string {
  const [written, name, of, atom, ending] = found
  if (ending !== 's' && ending !== 'd') return `${written} must end in s, as %(h)s`
  if (atom !== undefined)
    return KNOWN.has(atom)
      ? { atom }
      : `${written} is not an atom; there are ${[...KNOWN].join(', ')}, {HEADER}i, {HEADER}o and {VARIABLE}e`
  return of === 'i' || of === 'o' || of === 'e'
    ? { of, name: of === 'e' ? name! : name!.toLowerCase() }
    : `${written} must end in i (a header of the request), o (of the response) or e (a variable)`
}

export const isFault = (parsed: Piece[] | FormatFault): parsed is FormatFault =>
  !Array.isArray(parsed)
