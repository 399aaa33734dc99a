// `supervisor init`: each file it writes follows the settings, is what its own tool accepts and starts the app; none is overwritten;
// and what it takes from other servers' files loads and means what it meant.
import { execFileSync, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { initTargets } from '../src/init-targets.ts'
import { runInit } from '../src/init/main.ts'
import { initHelp } from '../src/help.ts'
import { shellWords } from '../src/shell-words.ts'
import { hasProgram, runCommand, type Said } from './helpers/command.ts'
import { bareEnvironment, Server } from './helpers/server.ts'
import { APP_PLATFORM, COMPOSE, KUBERNETES } from './helpers/schemas.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { newProject } from './helpers/walkthrough.ts'

const APP = 'export default (req, res) => res.end(`hello from ${req.url}`)\n'
const MANIFEST = {
  name: '@acme/shop',
  type: 'module',
  main: 'app.js',
  engines: { node: '>=22 <23' },
  scripts: { build: 'tsc' },
  dependencies: { nodicorn: '*' },
}
const SETTINGS = `export default {
  bind: '127.0.0.1:8080',
  timeout: 120,
  gracefulTimeout: 60,
  keepAlive: 5,
  maxBody: '20mb',
  admin: '127.0.0.1:9200',
  routes: { 'POST /imports/*': { timeout: 300, concurrency: 2, maxBody: '50mb' } },
}
`

function project(t: Teardown, files: Readonly<Record<string, string>> = {}): string {
  const dir = newProject(t)
  const all = { 'app.js': APP, 'package.json': JSON.stringify(MANIFEST), ...files }
  for (const [path, text] of Object.entries(all)) writeFileSync(join(dir, path), text)
  return dir
}

/** The command itself. */
const init = (dir: string, ...words: string[]): Promise<Said> =>
  runCommand({}, ['init', ...words], dir)

/** The same in this process, which takes no tenth of the time. */
async function initHere(directory: string, ...words: string[]): Promise<Said> {
  const said = { stdout: '', stderr: '' }
  const code = await runInit(words, {
    directory,
    print: (text) => void (said.stdout += text),
    complain: (line) => void (said.stderr += `supervisor: ${line}\n`),
  })
  return { code, ...said }
}

const contents = (dir: string): string[] => readdirSync(dir).sort()

/** The text that a target would write. */
async function printed(dir: string, ...words: string[]): Promise<string> {
  const said = await initHere(dir, ...words, '--print')
  expect(said).toMatchObject({ code: 0, stderr: '' })
  return said.stdout
}

describe(
  'each file follows the settings and is what its own tool accepts:',
  { concurrent: true },
  () => {
    test('Dockerfile', async (t) => {
      const dir = project(t, { 'supervisor.config.js': SETTINGS, 'pnpm-lock.yaml': '' })
      const said = await init(dir, 'docker', 'app.js:default', '--workers', '3')
      expect(said.stdout.trim().split('\n')).toEqual([
        'Wrote Dockerfile and .dockerignore.',
        'Build it: docker build -t shop .',
        'Run it: docker run --init --stop-timeout 65 -p 8080:8080 shop',
      ])
      const stages = stagesOf(readFileSync(join(dir, 'Dockerfile'), 'utf8'))
      expect(stages.map((stage) => stage[0])).toEqual([
        ['FROM', 'node:22-slim AS build'],
        ['FROM', 'node:22-slim'],
      ])
      expect(stages[0]).toContainEqual(['RUN', 'pnpm install --frozen-lockfile'])
      expect(stages[0]).toContainEqual(['RUN', 'pnpm run build && pnpm prune --prod'])
      const last = new Map(stages[1])
      expect(last.get('USER')).toBe('node')
      expect(last.get('EXPOSE')).toBe('8080')
      const words = ['ENTRYPOINT', 'CMD'].flatMap((name) => JSON.parse(last.get(name)!) as string[])
      expect(words).toEqual([
        'node_modules/.bin/supervisor',
        'start',
        'app.js:default',
        '--workers',
        '3',
        '--bind',
        '0.0.0.0:8080',
      ])
      expect(readFileSync(join(dir, '.dockerignore'), 'utf8')).toMatch(/^node_modules$/m)
    })

    test('compose.yaml', async (t) => {
      const dir = project(t, { 'supervisor.config.js': SETTINGS })
      const text = await printed(dir, 'compose')
      mustFit(text, COMPOSE)
      expect(yamlOf(text)[0]).toMatchObject({
        services: { shop: { stop_grace_period: '65s', ports: ['8080:8080'], init: true } },
      })
    })

    test('k8s.yaml', async (t) => {
      const dir = project(t, { 'supervisor.config.js': SETTINGS })
      const text = await printed(dir, 'k8s')
      const [deployment, service] = yamlOf(text)
      mustFit(text, KUBERNETES)
      const probe = (path: string): object => ({ httpGet: { path, port: 'admin' } })
      const { template } = (
        deployment as { spec: { template: { metadata: object; spec: object } } }
      ).spec
      expect(template.spec).toMatchObject({
        terminationGracePeriodSeconds: 70,
        containers: [
          {
            ports: [{ containerPort: 8080 }, { name: 'admin', containerPort: 9200 }],
            startupProbe: probe('/readyz'),
            readinessProbe: probe('/readyz'),
            livenessProbe: probe('/livez'),
            env: expect.arrayContaining([
              { name: 'SUPERVISOR_ADMIN', value: ':9200' },
              { name: 'SUPERVISOR_PRE_STOP_DELAY', value: '5' },
            ]) as unknown,
          },
        ],
      })
      expect(template.metadata).toEqual({
        labels: (service as { spec: { selector: object } }).spec.selector,
      })
    })

    test('app.yaml', async (t) => {
      const dir = project(t, { 'supervisor.config.js': SETTINGS, 'package-lock.json': '' })
      const text = await printed(dir, 'do-app')
      mustFit(text, APP_PLATFORM)
      expect(yamlOf(text)[0]).toMatchObject({
        services: [
          {
            build_command: 'npm ci && npm run build',
            run_command: 'node_modules/.bin/supervisor start app.js --bind 0.0.0.0:$PORT',
            termination: { grace_period_seconds: 65 },
          },
        ],
      })
    })

    test('without an address, an app that listens by itself is where nginx looks for it', async (t) => {
      const dir = project(t)
      expect(await printed(dir, 'systemd')).toMatch(/^Environment=HOST=127\.0\.0\.1 PORT=8000$/m)
      expect(await printed(dir, 'nginx')).toMatch(/^ +server 127\.0\.0\.1:8000;$/m)
      expect(await printed(dir, 'systemd', 'app.js', '-b', '127.0.0.1:81')).not.toMatch(/PORT=/)
    })

    test('and one at a unix socket lets the group of the socket in, for the proxy', async (t) => {
      const dir = project(t)
      const words = ['systemd', 'app.js', '-b', 'unix:/run/shop/app.sock']
      expect(await printed(dir, ...words)).toMatch(/^ExecStart=.* --socket-mode 660 /m)
      expect(await printed(dir, ...words, '--socket-mode', '666')).not.toContain('660')
      const said = await initHere(dir, ...words)
      expect(said.stdout).toContain('sudo usermod -aG shop www-data')
    })

    const analyze = hasProgram('systemd-analyze')
    if (!analyze)
      console.error(
        'test/init.test.ts skips a test: there is no systemd-analyze (apt-get install -y --no-install-recommends systemd)',
      )
    test.skipIf(!analyze)('the unit', async (t) => {
      const dir = project(t, { 'supervisor.config.js': SETTINGS })
      await init(dir, 'systemd')
      const file = join(dir, 'deploy/shop.service')
      expect(execFileSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })).toBe('')
      const unit = unitOf(readFileSync(file, 'utf8'))
      expect([unit.get('TimeoutStopSec'), unit.get('WorkingDirectory'), unit.get('User')]).toEqual([
        '65',
        dir,
        'shop',
      ])
    })
  },
)

const JOBS = `export default { jobs: { entry: './jobs.js', grace: '60s' } }\n`
const withPackages = (...names: string[]): string =>
  JSON.stringify({
    ...MANIFEST,
    dependencies: Object.fromEntries(['nodicorn', ...names].map((name) => [name, '*'])),
  })

describe('an app with jobs gets what they need:', { concurrent: true }, () => {
  /** Of each target that makes YAML, its documents; the texts of the others. */
  async function filesOf(dir: string, ...words: string[]) {
    const text = (target: string): Promise<string> => printed(dir, target, ...words)
    const [compose, k8s, app] = await Promise.all(['compose', 'k8s', 'do-app'].map(text))
    mustFit(compose!, COMPOSE)
    mustFit(k8s!, KUBERNETES)
    mustFit(app!, APP_PLATFORM)
    return {
      compose: yamlOf(compose!)[0],
      k8s: yamlOf(k8s!) as { kind: string; metadata: { name: string }; spec: object }[],
      app: yamlOf(app!)[0],
      docker: await text('docker'),
      unit: unitOf(await text('systemd')),
      procfile: await text('procfile'),
    }
  }

  test('with the embedded store a volume, in one process tree, and time for the jobs', async (t) => {
    const packages = withPackages('bullmq', '@electric-sql/pglite', 'ioredis')
    const dir = project(t, { 'supervisor.config.js': JOBS, 'package.json': packages })
    const files = await filesOf(dir)
    expect(files.docker).toMatch(
      /^RUN mkdir -p var\/jobs && chown node:node var\/jobs\nUSER node$/m,
    )
    expect(files.docker).toMatch(/^var\/jobs$/m) // not into the image
    expect(files.compose).toMatchObject({
      services: { shop: { stop_grace_period: '73s', volumes: ['jobs:/app/var/jobs'] } },
      volumes: { jobs: null },
    })
    expect(files.unit.get('TimeoutStopSec')).toBe('73')
    const [claim, web, service] = files.k8s
    expect([claim?.kind, service?.kind, files.k8s.length]).toEqual([
      'PersistentVolumeClaim',
      'Service',
      3,
    ])
    expect(web?.spec).toMatchObject({
      replicas: 1,
      strategy: { type: 'Recreate' },
      template: {
        spec: {
          terminationGracePeriodSeconds: 78,
          securityContext: { fsGroup: 1000 },
          containers: [{ volumeMounts: [{ mountPath: '/app/var/jobs' }] }],
          volumes: [{ persistentVolumeClaim: { claimName: claim?.metadata.name } }],
        },
      },
    })
    expect(files.procfile).toMatch(/^web: [^\n]+\n$/)
    expect(files.app).not.toHaveProperty('workers')
    const said = await initHere(dir, 'do-app')
    expect(said.stdout).toContain('First: npm install ioredis, ')
  })

  test('with a Redis the Redis, and job processes of their own where machines have one task', async (t) => {
    const packages = withPackages('bullmq', 'ioredis')
    const dir = project(t, { 'shop.config.js': JOBS, 'package.json': packages })
    const files = await filesOf(dir, '-c', 'shop.config.js')
    expect(files.compose).toMatchObject({
      services: {
        shop: { environment: { REDIS_URL: 'redis://redis:6379/0' }, depends_on: ['redis'] },
        redis: {
          command: expect.arrayContaining(['--appendonly', 'yes', 'noeviction']) as unknown,
        },
      },
    })
    const [web, jobs] = files.k8s
    const url = expect.objectContaining({ name: 'REDIS_URL' }) as unknown
    const containerWith = (facts: object): object => ({
      template: { spec: { containers: [facts] } },
    })
    const env = expect.arrayContaining([{ name: 'NUM_WORKERS', value: '0' }, url]) as unknown
    expect(web?.spec).toMatchObject({ replicas: 2, ...containerWith({ env }) })
    expect(web?.spec).toMatchObject({ template: { spec: { terminationGracePeriodSeconds: 40 } } })
    const command = ['node_modules/.bin/supervisor', 'jobs', '-c', 'shop.config.js']
    expect(jobs?.spec).toMatchObject(containerWith({ command, env: [url] }))
    expect(jobs?.spec).toMatchObject({ template: { spec: { terminationGracePeriodSeconds: 73 } } })
    expect(files.app).toMatchObject({
      services: [
        {
          envs: expect.arrayContaining([
            { key: 'NUM_WORKERS', value: '0', scope: 'RUN_TIME' },
          ]) as unknown,
        },
      ],
      workers: [{ run_command: command.join(' '), termination: { grace_period_seconds: 73 } }],
      databases: [{ name: 'redis' }],
    })
    const [first, second] = files.procfile.trim().split('\n')
    expect(first).toMatch(/^web: env NUM_WORKERS=0 node_modules\/\.bin\/supervisor start /)
    expect(second).toBe(`worker: ${command.join(' ')}`)
    expect(files.unit.get('After')).toContain('redis-server.service')
    expect(files.docker).not.toContain('mkdir')
  })

  test('and a store that the settings name stays where they say', async (t) => {
    const store = (url: string): string => JOBS.replace('./jobs.js', `./jobs.js', store: '${url}`)
    const dir = project(t, { 'supervisor.config.js': store('redis://:word@cache:6379/1') })
    const { compose, k8s } = await filesOf(dir)
    expect(compose).toMatchObject({ services: { cache: {} } })
    expect(JSON.stringify([compose, k8s])).not.toMatch(/REDIS_URL|word/)
    writeFileSync(join(dir, 'supervisor.config.js'), store('redis://localhost/0'))
    const said = await initHere(dir, 'compose')
    expect(said.stdout).toContain('First: leave jobs.store out of the settings')
    writeFileSync(join(dir, 'supervisor.config.js'), store('postgres://db.example/shop'))
    expect(await printed(dir, 'procfile')).toContain('\nworker: ')
  })
})

test('what a proxy cannot do or know is said: the PROXY protocol of nginx, an absent certificate', async (t) => {
  const dir = project(t, { 'broken.pem': '-----BEGIN CERTIFICATE-----\n' })
  const said = await initHere(dir, 'nginx', 'app.js', '--proxy-protocol', 'v2')
  expect(said.stdout).toMatch(/^Wrote .* First: take proxyProtocol out of the settings\. nginx /)
  for (const file of ['absent.pem', 'broken.pem']) {
    const words = ['app.js', '--certfile', file, '--print']
    const nginx = await initHere(dir, 'nginx', ...words)
    expect(nginx.stdout).toMatch(/proxy_pass https:[^]+# nobody is verified/)
    const haproxy = await initHere(dir, 'haproxy', ...words)
    expect(haproxy.stdout).toMatch(
      /\nbackend shop\n +# nobody is verified[^]+ ssl verify none check/,
    )
  }
})

test('an admin address by a flag is one that the probes of Kubernetes reach, and wins', async (t) => {
  const dir = project(t, { 'supervisor.config.js': SETTINGS })
  const flags = ['--workers', '3', '--admin', '127.0.0.1:9300']
  const text = await printed(dir, 'k8s', 'app.js', ...flags)
  mustFit(text, KUBERNETES)
  const { spec } = yamlOf(text)[0] as {
    spec: {
      template: { spec: { containers: [{ args: string[]; ports: object[]; env: object[] }] } }
    }
  }
  const [{ args, ports, env }] = spec.template.spec.containers
  expect(ports[1]).toEqual({ name: 'admin', containerPort: 9300 })
  expect(JSON.stringify(env)).not.toContain('"SUPERVISOR_ADMIN"') // a flag would win over it
  const token = { SUPERVISOR_ADMIN_TOKEN: '0123456789abcdef0123456789abcdef' }
  const said = await runCommand(token, ['config', '--json', ...args], dir)
  expect(JSON.parse(said.stdout)).toMatchObject({
    settings: {
      admin: { value: ':9300', source: '--admin' },
      workers: { value: 3 },
      bind: { value: ['0.0.0.0:8080'] },
    },
  })
})

describe('what the files start serves:', { concurrent: true }, () => {
  test("the unit's ExecStart, in a directory with a space", async (t) => {
    const dir = join(project(t), 'my shop')
    mkdirSync(dir)
    cpSync(join(dir, '..', 'app.js'), join(dir, 'app.js'))
    symlinkSync('../node_modules', join(dir, 'node_modules'))
    const unit = unitOf(await printed(dir, 'systemd', 'app.js', '--workers', '2'))
    // /run/shop is systemd's to make
    const line = unit.get('ExecStart')!.replace('/run/shop/', `${tempDir(t)}/`)
    await mustServe(t, shellWords(line)!, unit.get('WorkingDirectory')!, 2)
  })

  test('the web process of the Procfile, at the PORT of the platform', async (t) => {
    const dir = project(t, { 'supervisor.config.js': SETTINGS })
    const text = await printed(dir, 'procfile')
    expect(text).toMatch(/^web: [^\n]+ --graceful-timeout 25\n$/)
    await mustServe(t, ['sh', '-c', `exec ${text.replace('web: ', '')}`], dir, 1)
  })

  test("the Dockerfile's ENTRYPOINT and CMD, of an app whose start script names it", async (t) => {
    const scripts = { start: 'NODE_ENV=production supervisor start app.js --workers 2' }
    const dir = project(t, { 'package.json': JSON.stringify({ type: 'module', scripts }) })
    const text = await printed(dir, 'docker')
    const last = new Map(stagesOf(text.split('# --- .dockerignore')[0]!).at(-1))
    const words = ['ENTRYPOINT', 'CMD'].flatMap((name) => JSON.parse(last.get(name)!) as string[])
    await mustServe(t, words, dir, 2)
  })
})

test('nothing is ever overwritten, and half of the files are not written', async (t) => {
  const dir = project(t, { '.dockerignore': 'mine\n' })
  const before = contents(dir)
  const said = await init(dir, 'docker')
  expect(said).toMatchObject({ code: 1, stdout: '' })
  expect(said.stderr).toMatch(
    /^supervisor: \.dockerignore is there already, and init never overwrites;/,
  )
  expect(contents(dir)).toEqual(before)
  expect(readFileSync(join(dir, '.dockerignore'), 'utf8')).toBe('mine\n')

  writeFileSync(join(dir, 'supervisor.config.js'), 'export default {}')
  writeFileSync(join(dir, 'gunicorn.conf.py'), 'timeout = 3\n')
  const taken = await init(dir, '--from', 'gunicorn.conf.py')
  expect(taken).toMatchObject({ code: 1, stdout: '' })
  expect(taken.stderr).toMatch(/supervisor\.config\.js is there already/)
  writeFileSync(join(dir, 'deploy'), '')
  const blocked = await init(dir, 'nginx')
  expect([blocked.code, blocked.stderr]).toEqual([
    1,
    expect.stringMatching(/nginx\.conf cannot be written: /),
  ])
})

test('what it cannot do is said in one line, with the exit status that says who must act', async (t) => {
  const dir = project(t, { 'start.sh': 'npm start\n', 'bad.py': 'timeout = §\n', 'bad.json': '{' })
  const cases: [string[], number, RegExp][] = [
    [[], 2, /^a target is missing: supervisor init docker\|compose\|/],
    [['ngnix'], 2, /^"ngnix" is nothing that init can write; did you mean nginx\?$/],
    [['docker', '--wrkers', '3'], 2, /^--wrkers is not a known flag; did you mean --workers\?$/],
    [['docker', 'nowhere.js'], 4, /^nowhere\.js: there is no such file/],
    [['--from'], 2, /^--from needs a file/],
    [['--from', 'nowhere.py'], 2, /^nowhere\.py: there is no such file/],
    [['--from', 'start.sh'], 2, /^start\.sh: there is no command line of Gunicorn in it/],
    [['--from', 'bad.py'], 2, /^bad\.py: line 1: "§" is not understood$/],
    [['--from', 'bad.json'], 2, /^bad\.json: /],
    [['--from', 'package.json'], 2, /^package\.json: it exports no apps/],
    [['--from', 'start.sh', 'nginx'], 2, /^"nginx" is one argument too many/],
  ]
  for (const [words, code, line] of cases) {
    const said = await initHere(dir, ...words)
    const lines = said.stderr.trim().split('\n')
    expect([words, said.code, said.stdout, lines.length]).toEqual([words, code, '', 1])
    expect(lines[0]!.replace(/^supervisor: /, '')).toMatch(line)
  }
  for (const target of Object.keys(initTargets))
    expect(initHelp()).toMatch(new RegExp(`^  ${target} `, 'm'))
})

/** How five people ran their apps, in short. */
const stories: Record<
  string,
  { files: Record<string, string>; settings: Record<string, unknown> }
> = {
  'start.sh of the invoice import': {
    files: {
      'start.sh': `#!/bin/sh
python manage.py migrate
gunicorn business_suite.wsgi:application \\
  --bind 0.0.0.0:8000 \\
  --timeout 180 \\          # 3 minutes
  --workers 2 \\
  --threads 2 \\
  --worker-class sync \\
  --log-file - \\
  --access-logfile - \\
  --log-level info
`,
    },
    settings: {
      bind: ['0.0.0.0:8000'],
      timeout: 180,
      workers: 2,
      threads: 2,
      accessLog: '-',
      logLevel: 'info',
    },
  },
  'entrypoint.sh of the CSV import': {
    files: {
      'entrypoint.sh': `GUNICORN_TIMEOUT=\${GUNICORN_TIMEOUT:-300}
GUNICORN_WORKERS=\${GUNICORN_WORKERS:-4}
exec gunicorn --timeout=\${GUNICORN_TIMEOUT} --workers=\${GUNICORN_WORKERS} --bind 0.0.0.0:\${PORT:-5000} app:app
`,
    },
    settings: { timeout: 300, workers: 4, bind: ['0.0.0.0:5000'] },
  },
  'unit of the invoice extractor': {
    files: {
      'extractor.service': `[Service]
User=your_user
WorkingDirectory=/path/to/invoice matcher
ExecStart=/path/to/venv/bin/gunicorn -w 4 -b 0.0.0.0:8080 --timeout 300 --graceful-timeout 300 app:app
Restart=always
`,
    },
    settings: { workers: 4, bind: ['0.0.0.0:8080'], timeout: 300, gracefulTimeout: 300 },
  },
  'command of the referrals API, with its settings file': {
    files: {
      'command.sh':
        'python manage.py migrate && gunicorn _tetradx.wsgi:application -c gunicorn_config.py\n',
      'gunicorn_config.py': `import os
timeout = 120
workers = int(os.environ.get("WEB_WORKERS", 2 * 2 + 1))
max_requests = 1000
keepalive = 5
preload_app = True
`,
    },
    settings: { timeout: 120, workers: 5, maxRequests: 1000, keepAlive: 5, preload: true },
  },
  'Dockerfile of the document parser': {
    files: {
      Dockerfile: `FROM python:3.12
ENV NUM_WORKERS=2
CMD ["gunicorn", "document_parser.api:app", "--workers", "4", "--bind", "0.0.0.0:1233", "--timeout", "300", "--worker-class", "uvicorn.workers.UvicornWorker"]
`,
    },
    settings: { workers: 4, bind: ['0.0.0.0:1233'], timeout: 300 },
  },
}

describe(
  'what is taken from a file loads, and means what it meant there:',
  { concurrent: true },
  () => {
    for (const [story, { files, settings }] of Object.entries(stories))
      test(story, async (t) => {
        const dir = project(t, files)
        const said = await initHere(dir, '--from', Object.keys(files)[0]!)
        expect(said).toMatchObject({ code: 0, stderr: '' })
        expect(said.stdout).toMatch(/^Wrote supervisor\.config\.ts\.\n.+\n.+\n$/)
        expect(await configOf(dir, Object.keys(settings))).toEqual(settings)
      })

    test("PM2's ecosystem.config.js, a file for each app", async (t) => {
      const dir = project(t, {
        'package.json': '{}',
        'ecosystem.config.js': `console.log('it prints'); setInterval(() => {}, 1000)
module.exports = { apps: [
  { name: 'api', script: 'app.js', instances: 2, exec_mode: 'cluster', max_memory_restart: '300M', kill_timeout: 5000,
    wait_ready: true, env: { A: 1 }, env_production: { A: 2 }, cron_restart: '0 3 * * *' },
  { name: 'Admin UI', script: 'admin.js', instances: 'max' },
] }`,
      })
      const said = await init(dir, '--from', 'ecosystem.config.js')
      expect([said.code, said.stderr, said.stdout.trim().split('\n')]).toEqual([
        0,
        '',
        [
          'Wrote supervisor.api.config.ts and supervisor.admin-ui.config.ts.',
          'Start one: supervisor start app.js -c supervisor.api.config.ts',
          'Start one: supervisor start admin.js -c supervisor.admin-ui.config.ts',
        ],
      ])
      expect(
        await configOf(
          dir,
          ['name', 'workers', 'maxMemory', 'gracefulTimeout', 'waitReady'],
          '-c',
          'supervisor.api.config.ts',
        ),
      ).toEqual({
        name: 'api',
        workers: 2,
        maxMemory: 300 * 1024 ** 2,
        gracefulTimeout: 5,
        waitReady: true,
      })
      expect(existsSync(join(dir, 'supervisor.config.ts'))).toBe(false)
    })
  },
)

/** By the settings' names, as `supervisor config` shows them. */
async function configOf(
  dir: string,
  names: readonly string[],
  ...words: string[]
): Promise<object> {
  const said = await runCommand({}, ['config', '--json', ...words], dir)
  expect(said).toMatchObject({ code: 0, stderr: '' })
  const { settings } = JSON.parse(said.stdout) as { settings: Record<string, { value: unknown }> }
  return Object.fromEntries(names.map((name) => [name, settings[name]?.value]))
}

/** Started as the platform would: its workers are ready and answer. */
async function mustServe(
  t: Teardown,
  words: readonly string[],
  cwd: string,
  workers: number,
): Promise<void> {
  const env = {
    ...bareEnvironment(),
    PORT: '0',
    SUPERVISOR_LOG_FORMAT: 'json',
    SUPERVISOR_ADMIN: '127.0.0.1:0',
  }
  const [program = '', ...args] = words
  const child = spawn(program, args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const server = new Server(child)
  t.onTestFinished(() => server.tearDown())
  const { msg } = await server.log(/^Server is ready/)
  expect(msg).toContain(`ready: ${workers} worker`)
  expect((await server.get('/x')).text).toBe('hello from /x')
}

/** The instructions of each stage, in their order; comments must stand on lines of their own. */
function stagesOf(text: string): [string, string][][] {
  const lines = text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter(Boolean)
  const stages: [string, string][][] = []
  for (const line of lines) {
    const [, name = '', rest = ''] =
      /^(FROM|RUN|COPY|WORKDIR|ENV|USER|EXPOSE|HEALTHCHECK|ENTRYPOINT|CMD) (.+)$/.exec(line) ?? []
    expect(name, line).not.toBe('')
    if (name === 'FROM') stages.push([])
    stages.at(-1)!.push([name, rest])
  }
  return stages
}

const unitOf = (text: string): Map<string, string> =>
  new Map([...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, key, value]) => [key!, value!]))

const yamlOf = (text: string): unknown[] =>
  parseAllDocuments(text).map((document) => {
    expect([document.errors, document.warnings]).toEqual([[], []])
    return document.toJS() as unknown
  })

/** Every document of the text must be of the schema, which knows no other keys than those of the tool. */
function mustFit(text: string, schema: object): void {
  const check = new Ajv({ strict: false }).compile(schema)
  for (const document of yamlOf(text)) {
    check(document)
    expect(check.errors).toBeNull()
  }
}
