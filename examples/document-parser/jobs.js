// What is done in the background. Runs in the job processes; the app imports it for the job's name.
import { defineJob } from 'nodicorn/jobs'
import { loadDocument, pageStore } from './documents.js'
import { parse } from './parser.js'

// No timeout: a thousand pages may take what they take.
export const parseDocument = defineJob(
  'parse-document',
  { attempts: 3, backoff: '5s' },
  async ({ document, filename, mode }, { signal, progress }) => {
    const text = await loadDocument(document)
    const markdown = await parse(text, mode, { signal, progress, kept: pageStore(document) })
    return { markdown, filename }
  },
)
