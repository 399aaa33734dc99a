// The forms of an application that we can serve, and a server for each. Runs in every worker.
//
// The rule for functions: with two parameters or more it is a (req, res) handler (an Express app has three), with none
// a factory. One parameter is refused: `(options) => app` and `(request) => Response` look the same from outside.

import type { RequestListener } from 'node:http'
import net from 'node:net'
import { http } from '../builtin.ts'
import type { FetchApp } from './fetch-handler.ts'
import { acceptsFor } from './raw-connection.ts'
import type { Tls } from './tls.ts'

/** Completes "it must be ...". */
export const ACCEPTED_APPS =
  'a (req, res) function, an Express, Koa, Fastify, Hono or NestJS app, an object with fetch(), an http, https or http2 ' +
  'server, or a function without parameters that returns one of these'

export type AppKind =
  'server' | 'fetch' | 'nest' | 'fastify' | 'koa' | 'handler' | 'factory' | 'promise'

/** An app behind a server. */
export interface Serving {
  readonly server: net.Server
  /** Makes the server listen; the framework's own way where its hooks depend on it. Rejects with the system's error. */
  readonly listen: (at: net.ListenOptions) => Promise<unknown>
  /** The app's own shutdown. */
  readonly close?: () => Promise<unknown>
}

interface Fastify {
  readonly server: net.Server
  ready(): Promise<unknown>
  listen(at: net.ListenOptions): Promise<string>
  close(): Promise<unknown>
}

interface Nest {
  init(): Promise<unknown>
  getHttpServer(): net.Server
  /** Its type speaks of a port only; it passes on whatever http.Server and Fastify take. */
  listen(at: net.ListenOptions): Promise<unknown>
  close(): Promise<unknown>
}

/** Which form the value has; undefined if it is none that we can serve. */
export function kindOf(app: unknown): AppKind | undefined {
  if (app instanceof net.Server) return 'server'
  if (typeof app === 'function') return kindOfFunction(app)
  // A router made of a Proxy has every property, and Fastify's app is a thenable: `then` proves little.
  if (hasMethods(app, 'fetch')) return 'fetch'
  // Before Fastify: an app of Nest answers to the names of its platform too.
  if (hasMethods(app, 'init', 'getHttpServer', 'listen', 'close')) return 'nest'
  if (hasMethods(app, 'inject', 'ready', 'listen', 'close')) return 'fastify'
  if (hasMethods(app, 'then')) return 'promise'
  return hasMethods(app, 'callback', 'use') ? 'koa' : undefined
}

/**
 * Undefined for what is no app in itself: a factory, a promise or anything unknown. Throws BAD_SETTING if it can't be served
 * over TLS as `tls` says.
 */
export async function toServing(app: unknown, tls: Tls | undefined): Promise<Serving | undefined> {
  const serve = async (handler: RequestListener): Promise<Serving> =>
    serving(tls ? await tls.serve(handler) : http().createServer(handler))
  switch (kindOf(app)) {
    case 'server': {
      const server = app as net.Server
      return serving(tls && !server.listening ? await tls.cover(server) : server)
    }
    case 'handler':
      return serve(app as RequestListener)
    case 'koa':
      return serve((app as { callback(): RequestListener }).callback())
    case 'fetch': {
      const { fetchHandler } = await import('./fetch-handler.ts')
      return serve(fetchHandler(app as FetchApp))
    }
    case 'fastify':
      return fastifyServing(app as Fastify, tls)
    case 'nest':
      return nestServing(app as Nest, tls)
    case 'factory':
    case 'promise':
    case undefined:
      return undefined
  }
}

/**
 * One more listener for a server that already listens: its connections are handed to it, which node:http, https and
 * http2 document as the way to inject one. Of the server's own kind, so that its address is announced as such.
 */
export async function secondDoor(server: net.Server): Promise<Serving> {
  const door = await emptyServer(server)
  door.removeAllListeners('connection')
  door.on('connection', (socket) => server.emit('connection', socket))
  acceptsFor(door, server)
  return serving(door)
}

/** `an object with the keys port, host`, `a class named App`: what a person exported, in their words. */
export function describe(app: unknown): string {
  if (app === null || app === undefined) return String(app)
  if (isClass(app)) return `the class ${app.name || '(anonymous)'}, not an instance of it`
  if (typeof app === 'function')
    return `a function with ${app.length} parameter${app.length === 1 ? '' : 's'}`
  if (Array.isArray(app)) return 'an array'
  if (typeof app !== 'object')
    return `the ${typeof app} ${JSON.stringify(app) ?? String(app)}`.slice(0, 80)
  const made = (app as object).constructor?.name
  if (made && made !== 'Object') return `an object of class ${made}`
  const keys = Object.keys(app)
  const shown = keys.length > 8 ? [...keys.slice(0, 8), '...'] : keys
  return keys.length > 0 ? `an object with the keys ${shown.join(', ')}` : 'an empty object'
}

// --- internal ---

/** Its own listen() runs the onListen hooks; ready() before it tells a plugin's error from the address's. */
async function fastifyServing(app: Fastify, tls: Tls | undefined): Promise<Serving> {
  await app.ready()
  if (!app.server.listening) await tls?.cover(app.server)
  return { server: app.server, listen: (at) => app.listen(at), close: () => app.close() }
}

async function nestServing(app: Nest, tls: Tls | undefined): Promise<Serving> {
  await app.init()
  const server = app.getHttpServer()
  if (!server.listening) await tls?.cover(server)
  return { server, listen: (at) => app.listen(at), close: () => app.close() }
}

const serving = (server: net.Server): Serving => ({ server, listen: (at) => listening(server, at) })

async function emptyServer(like: net.Server): Promise<net.Server> {
  if ('setSecureContext' in like) return (await import('node:https')).createServer()
  const speaksHttp = like.listenerCount('request') + like.listenerCount('stream') > 0
  return speaksHttp
    ? http().createServer()
    : net.createServer({ allowHalfOpen: true, noDelay: true })
}

const listening = (server: net.Server, at: net.ListenOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => {
      server.off('error', reject)
      resolve()
    })
  })

function kindOfFunction(app: { readonly length: number }): AppKind | undefined {
  if (isClass(app)) return undefined
  if (app.length >= 2) return 'handler'
  return app.length === 0 ? 'factory' : undefined
}

/** Calling one without `new` throws, so it is neither a handler nor a factory. */
const isClass = (app: unknown): app is { readonly name: string } =>
  typeof app === 'function' && /^class\b/.test(Function.prototype.toString.call(app))

const hasMethods = (app: unknown, ...names: string[]): boolean =>
  typeof app === 'object' &&
  app !== null &&
  names.every((name) => typeof (app as Record<string, unknown>)[name] === 'function')
