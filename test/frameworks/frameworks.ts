// The frameworks of the matrix: what they are called, how each is started, how its four deeds are asked for.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const directory = fileURLToPath(new URL('.', import.meta.url))

export type Mode = 'listens' | 'exported'
export type Deed = 'hello' | 'slow' | 'never' | 'block'

export interface Framework {
  readonly name: string
  /** As package-lock.json knows it. */
  readonly package: string
  /** Where `supervisor start` is typed, below this directory. Default: apps/. */
  readonly folder?: string
  /** What `supervisor start` is given there; `:export` may follow. */
  readonly apps: Readonly<Record<Mode, string>>
  /** Default: GET. */
  readonly ask?: (deed: Deed) => { readonly body: string; readonly headers: Record<string, string> }
  /** It takes port 0 for its own default, so it is given a free one. */
  readonly needsPort?: boolean
}

export const frameworks: readonly Framework[] = [
  { name: 'Express 5', package: 'express', apps: both('express') },
  { name: 'Express 4', package: 'express4', apps: both('express4') },
  { name: 'Fastify', package: 'fastify', apps: both('fastify') },
  { name: 'Koa', package: 'koa', apps: both('koa') },
  { name: 'Hono', package: 'hono', apps: both('hono') },
  {
    name: 'NestJS',
    package: '@nestjs/core',
    folder: 'apps/nest',
    apps: { listens: 'dist/main.js', exported: 'dist/exported.js' },
  },
  {
    name: 'Next.js',
    package: 'next',
    folder: 'apps/next',
    apps: { listens: '.next/standalone/apps/next/server.js', exported: 'server.mjs' },
    needsPort: true,
  },
  {
    name: 'Nitro (Nuxt)',
    package: 'nitropack',
    folder: 'apps/nitro',
    apps: {
      listens: '.output/server/index.mjs',
      exported: '.exported/server/index.mjs:listener',
    },
  },
  { name: 'tRPC', package: '@trpc/server', apps: both('trpc') },
  {
    name: 'Apollo Server',
    package: '@apollo/server',
    folder: 'apps/apollo',
    apps: { listens: 'listens.js', exported: 'app.js' },
    ask: (deed) => ({
      body: JSON.stringify({ query: `{ ${deed} }` }),
      headers: { 'content-type': 'application/json' },
    }),
  },
  { name: 'Socket.IO', package: 'socket.io', apps: both('socketio') },
  { name: 'ws', package: 'ws', apps: both('ws') },
]

/** What is installed, as the lock file says. */
export function versionOf({ package: name }: Framework): string {
  const lock = JSON.parse(readFileSync(`${directory}package-lock.json`, 'utf8')) as {
    packages: Record<string, { version: string }>
  }
  const found = lock.packages[`node_modules/${name}`]
  if (!found) throw new Error(`${name} is not in package-lock.json`)
  return found.version
}

function both(name: string): Framework['apps'] {
  return { listens: `${name}-listens.mjs`, exported: `${name}.mjs` }
}
