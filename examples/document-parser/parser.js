// Text to Markdown, page by page. The pages are separated as `pdftotext` does it, by form feeds, and two models share them.
import { setTimeout as sleep } from 'node:timers/promises'

export const modes = ['fast', 'balanced', 'accurate']

/** How long a page takes. */
const seconds = Number(process.env.PAGE_SECONDS ?? 0.5)

/** `kept`: answers with a page that was read before, or lets it be read. `progress` hears of each page. */
export async function parse(text, mode, options) {
  const { signal, progress = () => {}, kept = (number, read) => read() } = options
  const pages = text.split('\f')
  const counts = { deepseek_pages: 0, nanonets_pages: 0 }
  const markdown = []
  for (const [index, page] of pages.entries()) {
    const model = modelFor(page, mode)
    markdown.push(await kept(index + 1, () => readPage(page, signal)))
    counts[`${model}_pages`]++
    progress({ current_page: index + 1, total_pages: pages.length, ...counts })
  }
  return markdown.join('\n\n')
}

/** Tables are what the slower one is good at. */
const modelFor = (page, mode) =>
  mode === 'accurate' || (mode === 'balanced' && page.includes('|')) ? 'nanonets' : 'deepseek'

/** Here a model would be asked, at VLLM_DEEPSEEK_URL or VLLM_NANONETS_URL; a page of text only takes its time. */
async function readPage(page, signal) {
  await sleep(seconds * 1000, undefined, { signal })
  return page.trim()
}
