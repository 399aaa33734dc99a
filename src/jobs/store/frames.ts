// What the embedded store and its clients say to each other over their unix socket: a length, then what v8.serialize() makes.
// Runs in the store and in every process that uses it.
import { deserialize, serialize } from 'node:v8'

export interface Query {
  readonly id: number
  readonly text: string
  readonly params: readonly unknown[] | undefined
}

export type Reply =
  /** The first of each connection. */
  | { readonly hello: number }
  | { readonly id: number; readonly rows: unknown[]; readonly rowCount: number | null }
  /** What Postgres says of an error: message, code, detail and so on. */
  | { readonly id: number; readonly error: { readonly message: string } }
  | { readonly channel: string; readonly payload: string }

const HEAD = 4

export function frameOf(value: Query | Reply): Buffer {
  const body = serialize(value)
  const frame = Buffer.allocUnsafe(HEAD + body.length)
  frame.writeUInt32BE(body.length)
  body.copy(frame, HEAD)
  return frame
}

/** Puts frames together again. */
export class FrameReader<T extends Query | Reply> {
  #chunks: Buffer[] = []
  #length = 0

  /** The values that are complete with this chunk. */
  push(chunk: Buffer): T[] {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    const values: T[] = []
    for (let body = this.#next(); body; body = this.#next()) values.push(deserialize(body) as T)
    return values
  }

  #next(): Buffer | undefined {
    if (this.#length < HEAD) return undefined
    if (this.#chunks[0]!.length < HEAD) this.#join()
    const end = HEAD + this.#chunks[0]!.readUInt32BE()
    if (this.#length < end) return undefined
    this.#join()
    const all = this.#chunks[0]!
    this.#chunks = all.length > end ? [all.subarray(end)] : []
    this.#length -= end
    return all.subarray(HEAD, end)
  }

  /** Once a frame is complete, not for each chunk: a large one would be copied again and again. */
  #join(): void {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
  }
}
