// Puts what starts a master, a worker and its watchdog into one CommonJS file each: forty ES modules, read one by one, were a
// third of the time to the first answer. Run by `npm run build`, after tsc; what is rarely needed stays outside.
import { chmodSync, cpSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const source = (path) => fileURLToPath(new URL(`../src/${path}`, import.meta.url))
const dist = (path) => fileURLToPath(new URL(`../dist/${path}`, import.meta.url))

await build({
  entryPoints: {
    cli: dist('cli.js'),
    worker: dist('worker/entry.js'),
    watchdog: dist('worker/watchdog.js'),
  },
  outdir: dist('.'),
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  external: ['pino', 'prom-client', 'tsx', 'tsx/*', 'chokidar', 'tinyglobby', './init/*'],
  // a bundle stands in dist/, as src/paths.ts wants it
  define: { 'import.meta.url': 'bundleUrl' },
  banner: { js: "const bundleUrl = require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
})
// its twin would start as well, only slower
for (const file of ['cli.js', 'cli.d.ts']) rmSync(dist(file))
chmodSync(dist('cli.cjs'), 0o755)
// the page of the admin address is what browsers load, as it is
cpSync(source('master/page'), dist('master/page'), { recursive: true })
