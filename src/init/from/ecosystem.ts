// Loads PM2's ecosystem file, which is a program, in a process of its own: what it starts or leaves open is gone with it. Runs in
// the CLI.
import { execFile } from 'node:child_process'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UserError } from '../../errors.ts'

/** A settings file that takes longer waits for something. */
const PATIENCE_MS = 20_000
/** Before the result, as the file may print as well. */
const MARK = '\u0001nodicorn\u0001'

const SCRIPT = `
const [url] = process.argv.slice(1)
import(url).then(({ default: value, ...names }) => {
  const text = JSON.stringify(value ?? names)
  process.stdout.write(${JSON.stringify(MARK)} + text, () => process.exit(0))
}, (error) => {
  console.error(String(error && error.message || error))
  process.exit(1)
})
`

/**
 * What the file exports, as JSON can say it.
 * @throws UserError BAD_SOURCE
 */
export async function loadEcosystem(path: string, name: string, text: string): Promise<unknown> {
  if (extname(path) === '.json') return parse(text, name)
  const output = await new Promise<string>((resolve, reject) =>
    execFile(
      process.execPath,
      ['--input-type=module', '-e', SCRIPT, pathToFileURL(path).href],
      { timeout: PATIENCE_MS, maxBuffer: 16 * 1024 ** 2 },
      (error, stdout, stderr) => {
        if (!error) return resolve(stdout)
        const why = stderr.trim().split('\n')[0] || 'it does not end'
        reject(new UserError('BAD_SOURCE', `${name}: ${why}`, { cause: error }))
      },
    ),
  )
  return parse(output.split(MARK)[1] ?? 'null', name)
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UserError('BAD_SOURCE', `${name}: ${why}`, { cause: error })
  }
}
