// A stand-in for OpenRouter: `node slow-model.js 90` answers each call after 90 seconds, at http://127.0.0.1:9000.
import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'

const content = JSON.stringify({ number: '2025-017', date: '2025-08-26', total: 1190 })
const answer = JSON.stringify({ choices: [{ message: { content } }] })

/** Answers after so many seconds; each call is told to `onCall`, with a promise for how it ended: answered or aborted. */
export const slowModel = (seconds, onCall = () => {}) =>
  createServer((req, res) => {
    const timer = setTimeout(() => res.end(answer), seconds * 1000)
    onCall(
      new Promise((resolve) =>
        res.once('close', () => {
          clearTimeout(timer)
          resolve(res.writableFinished ? 'answered' : 'aborted')
        }),
      ),
    )
    req.resume()
  })

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  slowModel(Number(process.argv[2] ?? 30), async (ended) => {
    console.log('a call')
    console.log(await ended)
  }).listen(9000, '127.0.0.1')
