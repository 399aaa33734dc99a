import { startStandaloneServer } from '@apollo/server/standalone'
import { apollo } from './apollo-schema.mjs'
import { at } from './deeds.mjs'

await startStandaloneServer(apollo(), { listen: at })
