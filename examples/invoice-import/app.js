// Imports invoices: each is read by a language model, which takes 10 to 120 seconds.
import express from 'express'
import { CallTimeout, readInvoice } from './invoice-reader.js'

export const app = express()

app.get('/', (req, res) => res.send('POST an invoice to /invoices/import/batch/\n'))

app.post(
  '/invoices/import/batch/',
  express.raw({ type: () => true, limit: '20mb' }),
  async (req, res) => {
    try {
      res.json({ imported: await readInvoice(req.body) })
    } catch (error) {
      // After our own 504, or when the client has left, nobody is there to be told.
      if (res.writableEnded || res.destroyed) return
      console.error(`Error parsing invoice: ${error.message}`)
      res.status(error instanceof CallTimeout ? 504 : 502).json({ error: error.message })
    }
  },
)

export default app
