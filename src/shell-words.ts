// Splits one string into words the way a POSIX shell would: GUNICORN_CMD_ARGS and lists in the environment. A leaf, used in the master.

const WORD_PART = /(\s+)|'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|([^\s'"\\]+)/y

/**
 * `--name "my app" -e A\ B` -> ['--name', 'my app', '-e', 'A B']. Quotes and backslash only: no variables, no globs.
 * Returns undefined when a quote or a backslash is left open.
 */
export const shellWords = (text: string): string[] | undefined => {
  const words: string[] = []
  let word: string | undefined
  let at = 0
  while (at < text.length) {
    WORD_PART.lastIndex = at
    const match = WORD_PART.exec(text)
    if (!match) return undefined
    at = WORD_PART.lastIndex
    const [, space, single, double, escaped, plain] = match
    if (space === undefined) {
      word =
        (word ?? '') + (single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain ?? '')
    } else if (word !== undefined) {
      words.push(word)
      word = undefined
    }
  }
  return word === undefined ? words : [...words, word]
}
