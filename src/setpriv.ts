// Ends a program with its parent, where nothing in it would notice: setpriv, of util-linux. A leaf.
import { fs } from './builtin.ts'

const PLACES = ['/usr/bin/setpriv', '/bin/setpriv']

/** Undefined where there is none: macOS, Alpine. */
export const setpriv = (): string | undefined => PLACES.find((path) => fs.existsSync(path))

/** The program and its arguments, to be killed when the thread that starts it ends, if the system can. */
export function guarded(words: readonly string[]): string[] {
  const guard = setpriv()
  return guard ? [guard, '--pdeathsig', 'KILL', '--', ...words] : [...words]
}
