// An app of ordinary size, for what depends on the time of a boot: three frameworks and a validator. Answers its pid.
const express = require('express')
require('fastify')
require('koa')
require('ajv')
const app = express()
app.get('/', (req, res) => res.end(String(process.pid)))
app.listen(Number(process.env.PORT), process.env.HOST ?? '127.0.0.1')
