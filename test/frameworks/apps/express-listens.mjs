import app from './express.mjs'
import { at } from './deeds.mjs'

app.listen(at.port, at.host)
