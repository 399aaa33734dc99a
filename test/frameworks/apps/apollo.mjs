import { expressMiddleware } from '@as-integrations/express5'
import express from 'express'
import { apollo } from './apollo-schema.mjs'

export default async () => {
  const server = apollo()
  await server.start()
  return express().use(express.json(), expressMiddleware(server))
}
