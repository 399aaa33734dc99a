// The table of the README, made of a run's results; its rows are the frameworks of the suite, with the versions of its lock file.
import { frameworks, versionOf, type Mode } from './frameworks.ts'

/** One behaviour of one server. `found` is what is shown: `yes`, or `0 of 123`. */
export interface Result {
  readonly framework: string
  readonly mode: Mode
  readonly behaviour: string
  readonly found: string
}
