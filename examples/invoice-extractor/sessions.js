// Sessions are directories. One is filled under another name and then renamed, so it is there as a whole or not at all,
// whatever happens to the worker meanwhile.
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const dir = process.env.SESSIONS_DIR ?? 'sessions'

export async function saveSession(facts, image) {
  const session = { id: randomUUID(), ...facts }
  const unfinished = join(dir, `.${session.id}`)
  await mkdir(unfinished, { recursive: true })
  await writeFile(join(unfinished, 'image'), image)
  await writeFile(join(unfinished, 'session.json'), JSON.stringify(session))
  await rename(unfinished, join(dir, session.id))
  return session
}

/** Undefined if there is none. */
export async function loadSession(id) {
  if (!/^[\da-f-]{36}$/.test(id)) return undefined
  try {
    return JSON.parse(await readFile(join(dir, id, 'session.json'), 'utf8'))
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

export const loadImage = (id) => readFile(join(dir, id, 'image'))
