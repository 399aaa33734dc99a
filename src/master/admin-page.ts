// The files of the page, read once each, with a policy that lets a browser load and run nothing else. Runs in the master.

import { fs } from '../builtin.ts'
import { pageDirectory } from '../paths.ts'
import type { Reply } from './admin-commands.ts'

const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/live.js': ['live.js', 'text/javascript; charset=utf-8'],
  '/draw.js': ['draw.js', 'text/javascript; charset=utf-8'],
  '/events.js': ['events.js', 'text/javascript; charset=utf-8'],
  '/jobs.js': ['jobs.js', 'text/javascript; charset=utf-8'],
  '/table.js': ['table.js', 'text/javascript; charset=utf-8'],
  '/format.js': ['format.js', 'text/javascript; charset=utf-8'],
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

const read = new Map<string, Reply>()

/** Undefined if the page has no such file. */
export function pageFile(path: string): Reply | undefined {
  const known = read.get(path)
  if (known || !Object.hasOwn(FILES, path)) return known
  const [file, type] = FILES[path]!
  const body = fs.readFileSync(new URL(file, pageDirectory))
  const reply = { status: 200, type, body, headers: { 'content-security-policy': POLICY } }
  read.set(path, reply)
  return reply
}
