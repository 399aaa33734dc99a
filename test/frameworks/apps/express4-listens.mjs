import app from './express4.mjs'
import { at } from './deeds.mjs'

app.listen(at.port, at.host)
