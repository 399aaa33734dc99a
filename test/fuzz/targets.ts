// All that is fuzzed.
import { http } from './http.ts'
import type { Target } from './target.ts'

export const targets: readonly Target[] = [http]
