import { deeds } from '../deeds.mjs'

export const typeDefs = 'type Query { hello: String, slow: String, never: String, block: String }'
export const resolvers = {
  Query: Object.fromEntries(Object.entries(deeds).map(([name, deed]) => [name, () => deed()])),
}
