// How far an import is: in a file, since the worker that is asked is seldom the one that imports. Redis would do as well.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const dir = process.env.PROGRESS_DIR ?? join(tmpdir(), 'csv-import')

const fileOf = (id) => join(dir, `${id.replace(/[^\w-]/g, '_')}.json`)

export function progressOf(id) {
  const file = fileOf(id)
  return {
    async write(state) {
      await mkdir(dir, { recursive: true })
      await writeFile(`${file}.new`, JSON.stringify(state))
      await rename(`${file}.new`, file) // never half of it
    },
  }
}

/** Server-sent events until the import is done or the client leaves. They have no timeout. */
export async function follow(id, res) {
  let last
  while (!res.destroyed) {
    // ENOENT: it has not begun.
    const state = await readFile(fileOf(id), 'utf8').catch(() => undefined)
    if (state && state !== last) res.write(`data: ${state}\n\n`)
    last = state
    const { done, of } = state ? JSON.parse(state) : {}
    if (state && done === of) return res.end('event: end\ndata: {}\n\n')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
