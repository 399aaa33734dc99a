// `supervisor init do-app`: the app on DigitalOcean's App Platform. Pure. Runs in the CLI.
import {
  graceOf,
  type Made,
  openWords,
  proxyTimeout,
  shellQuoted,
  SUPERVISOR,
  yamlQuoted,
} from './derived.ts'
import type { Facts } from './facts.ts'
import { isShared, jobsWords } from './jobs.ts'

export const doApp = (facts: Facts): Made => ({
  files: { '.do/app.yaml': text(facts) },
  ...(facts.jobs?.store === 'embedded' && {
    first:
      'First: npm install ioredis, which puts the jobs into a database; the disk there lasts until the next deployment.',
  }),
  next: [
    'Say where the code is: the github part of the file.',
    proxyTimeout(facts) > ROUTER_SECONDS
      ? 'Create it: doctl apps create --spec .do/app.yaml. The platform itself ends a request after 100 s.'
      : 'Create it: doctl apps create --spec .do/app.yaml',
  ],
})

const ROUTER_SECONDS = 100
const PORT = 8080
/** What the platform allows. */
const MOST_SECONDS = 600

const text = (facts: Facts): string => {
  const { name, settings } = facts
  return `# ${name} on DigitalOcean's App Platform, made by "supervisor init do-app". It is yours now.
name: ${name.padEnd(2, '-app')}
services:
  - name: web
${component(facts, openWords(facts, '$PORT'))}    http_port: ${PORT}
    health_check:
${settings.readyCheck === '' ? '      # with a path (http_path: /healthz) it asks the app; without one it only connects\n' : `      http_path: ${settings.readyCheck}\n`}      initial_delay_seconds: 5
      period_seconds: 10
      timeout_seconds: 5
    # longer than a worker may take to finish its requests (gracefulTimeout); then it is killed
    termination:
      drain_seconds: 15
      grace_period_seconds: ${Math.min(MOST_SECONDS, graceOf(facts))}
${environment(facts, isShared(facts.jobs) ? { NUM_WORKERS: '0' } : {})}${isShared(facts.jobs) ? worker(facts) : ''}`
}

/** What a service and a worker have both. */
const component = ({ name, packages }: Facts, words: readonly string[]): string => {
  const build = [packages.install, packages.build].filter((line) => line !== undefined)
  const command = [SUPERVISOR, ...words].map(shellQuoted).join(' ')
  return `    environment_slug: node-js
    source_dir: /
    # github:
    #   repo: you/${name}
    #   branch: main
    build_command: ${yamlQuoted(build.join(' && '))}
    run_command: ${yamlQuoted(command)}
    instance_count: 1
    instance_size_slug: apps-s-1vcpu-1gb
`
}

function environment({ jobs }: Facts, more: Readonly<Record<string, string>>): string {
  const all = {
    NODE_ENV: 'production',
    ...more,
    ...(hasDatabase(jobs) && { REDIS_URL: '${redis.DATABASE_URL}' }),
  }
  const lines = Object.entries(all).map(
    ([key, value]) => `      - key: ${key}
        value: ${yamlQuoted(value)}
        scope: RUN_TIME
`,
  )
  return `    envs:\n${lines.join('')}`
}

/** Where it is not for the settings to say. */
const hasDatabase = (jobs: Facts['jobs']): boolean =>
  jobs?.store === 'redis' && jobs.url === undefined

const worker = (facts: Facts): string => `
workers:
  - name: jobs
${component(facts, jobsWords(facts.words))}    # longer than a job may take to be done or given back (grace)
    termination:
      grace_period_seconds: ${Math.min(MOST_SECONDS, (facts.jobs?.grace ?? 0) + 5)}
${environment(facts, {})}${hasDatabase(facts.jobs) ? database(facts) : ''}`

const database = ({ name }: Facts): string => `
# a cluster that is there already; it must not throw keys away, so its eviction policy is noeviction
databases:
  - name: redis
    engine: VALKEY
    production: true
    cluster_name: ${name}-redis
`
