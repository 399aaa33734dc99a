// app.js
import { ApolloServer } from '@apollo/server'
import { expressMiddleware } from '@as-integrations/express5'
import express from 'express'
import { resolvers, typeDefs } from './schema.js'

export default async () => {
  const server = new ApolloServer({ typeDefs, resolvers })
  await server.start()
  return express().use(express.json(), expressMiddleware(server))
}
