import { ApolloServer } from '@apollo/server'
import { deeds } from './deeds.mjs'

const typeDefs = 'type Query { hello: String, slow: String, never: String, block: String }'
const Query = Object.fromEntries(Object.entries(deeds).map(([name, deed]) => [name, () => deed()]))

export const apollo = () => new ApolloServer({ typeDefs, resolvers: { Query } })
