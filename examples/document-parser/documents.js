// Uploads, and what was read of them: a directory for each, which app and job processes share. On several machines it must be one
// that all of them have, or an object store.
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const root = resolve(process.env.DOCUMENTS_DIR ?? 'var/documents')
const WEEK_MS = 7 * 86_400_000

/** Answers its name. */
export async function saveDocument(file) {
  const name = randomUUID()
  await mkdir(join(root, name), { recursive: true })
  await writeFile(join(root, name, 'document'), Buffer.from(await file.arrayBuffer()))
  await removeOld()
  return name
}

export const loadDocument = (name) => readFile(join(root, name, 'document'), 'utf8')

/** Keeps each page once it was read: a job that was interrupted goes on where it was. */
export const pageStore = (name) => async (number, read) => {
  const file = join(root, name, `${number}.md`)
  const before = await readFile(file, 'utf8').catch(ifNone)
  if (before !== undefined) return before
  const text = await read()
  await writeFile(`${file}.new`, text)
  await rename(`${file}.new`, file) // never half of it
  return text
}

/** By then its job has ended, and its result is in the store or has expired. */
async function removeOld() {
  for (const name of await readdir(root)) {
    const found = await stat(join(root, name)).catch(ifNone)
    if (found && Date.now() - found.mtimeMs > WEEK_MS)
      await rm(join(root, name), { recursive: true, force: true })
  }
}

const ifNone = (error) => {
  if (error.code !== 'ENOENT') throw error
}
