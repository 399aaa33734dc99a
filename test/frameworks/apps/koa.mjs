import Koa from 'koa'
import { deeds } from './deeds.mjs'

const app = new Koa()
app.use(async (ctx) => {
  const deed = deeds[ctx.path.slice(1)]
  if (deed) ctx.body = await deed()
})

export default app
