// npm run test:frameworks [-- --write] [-- flags of vitest]: installs, builds, tests, and prints the table. With --write the table
// becomes that of the README.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
