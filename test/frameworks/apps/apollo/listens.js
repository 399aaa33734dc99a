import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { at } from '../deeds.mjs'
import { resolvers, typeDefs } from './schema.js'

await startStandaloneServer(new ApolloServer({ typeDefs, resolvers }), { listen: at })
