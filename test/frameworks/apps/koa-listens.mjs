import app from './koa.mjs'
import { at } from './deeds.mjs'

app.listen(at)
