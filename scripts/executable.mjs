// Makes the built CLI executable: npm does it on install, a checkout needs it too. Run by `npm run build`.
import { chmodSync } from 'node:fs'

chmodSync(new URL('../dist/cli.js', import.meta.url), 0o755)
