// The call to the language model. Nothing here knows about the server: no signal is passed on, and still the call ends with its request.
const base = process.env.OPENROUTER_URL ?? 'https://openrouter.ai/api/v1'
const model = process.env.OPENROUTER_MODEL ?? 'openai/gpt-5-mini'
/** Seconds; 0 leaves it to the server's --timeout. */
const timeout = Number(process.env.OPENROUTER_TIMEOUT ?? 120)

console.log(
  `Initialized LLM parser with OpenRouter (model: ${model}, timeout: ${timeout.toFixed(1)}s)`,
)

/** The model did not answer in time. Says which call it was. */
export class CallTimeout extends Error {}

export async function readInvoice(file) {
  const call = `POST ${base}/chat/completions`
  try {
    const answer = await fetch(`${base}/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${process.env.OPENROUTER_API_KEY ?? ''}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ model, messages: [question(file)] }),
      ...(timeout > 0 && { signal: AbortSignal.timeout(timeout * 1000) }),
    })
    if (!answer.ok) throw new Error(`${call} answered ${answer.status}`)
    const { choices } = await answer.json()
    return JSON.parse(choices[0].message.content)
  } catch (error) {
    if (error.name !== 'TimeoutError') throw error
    throw new CallTimeout(`${call} gave no answer within ${timeout} s`, { cause: error })
  }
}

const question = (file) => ({
  role: 'user',
  content: [
    { type: 'text', text: 'Answer with JSON: number, date and total of this invoice.' },
    { type: 'file', file: { file_data: `data:application/pdf;base64,${file.toString('base64')}` } },
  ],
})
