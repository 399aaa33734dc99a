// .output listens by itself, .exported exports its listener.
export default {
  compatibilityDate: '2026-01-01',
  output: { dir: process.env.NITRO_PRESET === 'node' ? '.exported' : '.output' },
}
