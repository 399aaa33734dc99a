// How structured settings are written in a flag or variable. A leaf under the kinds of settings.

/** What JSON in a flag or variable says; other text stays as it is, and the check says what is wanted. */
export function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (error) {
    if (error instanceof SyntaxError) return line
    throw error
  }
}
