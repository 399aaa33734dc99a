// All that is fuzzed.
import { control } from './control.ts'
import { http } from './http.ts'
import { proxy } from './proxy.ts'
import { routes } from './routes.ts'
import { commandLine, settings, settingsFiles } from './settings.ts'
import { sources } from './sources.ts'
import type { Target } from './target.ts'

export const targets: readonly Target[] = [
  http,
  control,
  proxy,
  settings,
  settingsFiles,
  commandLine,
  routes,
  sources,
]
