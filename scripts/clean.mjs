// Removes dist/ before a build, so that a renamed file leaves no twin behind. Run by `npm run build`.
import { rmSync } from 'node:fs'

rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true })
