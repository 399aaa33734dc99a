// `supervisor init compose`: the app's container under Docker Compose. Its content is that of deploy/docker/. Pure. Runs in the CLI.
import { containerPort, graceOf, type Made, SUPERVISOR, yamlQuoted } from './derived.ts'
import type { Facts } from './facts.ts'
import { isLocal, storeDirectory } from './jobs.ts'

export function compose(facts: Facts): Made {
  const isWrong = redisOf(facts)?.way === 'misnamed'
  return {
    files: { 'compose.yaml': text(facts) },
    ...(isWrong && {
      first:
        'First: leave jobs.store out of the settings, as REDIS_URL says there where the Redis is.',
    }),
    next: [
      'It builds the Dockerfile of this directory: "supervisor init docker" writes one.',
      'Start it: docker compose up --build',
    ],
  }
}

interface Redis {
  /** Of the service. */
  readonly host: string
  /** `variable`: REDIS_URL says where it is; `settings`: they do; `misnamed`: they name this machine, which is another one there. */
  readonly way: 'variable' | 'settings' | 'misnamed'
}

/** Undefined if there is none, or it is on a machine of its own. */
function redisOf({ jobs }: Facts): Redis | undefined {
  if (jobs?.store !== 'redis') return undefined
  if (!jobs.url) return { host: 'redis', way: 'variable' }
  if (isLocal(jobs.url)) return { host: 'redis', way: 'misnamed' }
  const { hostname } = jobs.url
  return /^[a-z][-a-z0-9]*$/.test(hostname) ? { host: hostname, way: 'settings' } : undefined
}

const text = (facts: Facts): string => {
  const { name, settings, jobs, directory } = facts
  const port = containerPort(facts)
  const redis = redisOf(facts)
  const store = storeDirectory(jobs, directory)
  const volumes = [...(store === undefined ? [] : ['jobs']), ...(redis ? [redis.host] : [])]
  return `# ${name} under Docker Compose, made by "supervisor init compose". It is yours now.
services:
  ${name}:
    build: .
    # an init as the first process: it ends those that the app has left behind
    init: true
    restart: unless-stopped
${redis ? `    depends_on:\n      - ${redis.host}\n` : ''}    ports:
      - ${yamlQuoted(`${port}:${port}`)}
${environment(facts, redis)}${store === undefined ? '' : `    # the jobs\n    volumes:\n      - jobs:/app/${store}\n`}    # longer than a worker may take to finish its requests (gracefulTimeout)${jobs ? ', and a job to be done or given back (grace)' : ''}; then Docker kills
    stop_grace_period: ${graceOf(facts)}s
    healthcheck:
      test: ['CMD', '${SUPERVISOR}', 'status', '--quiet']
      interval: 10s
      timeout: 5s
      start_period: ${Math.ceil(settings.bootTimeout) || 60}s
    # an app that writes no files can have more: read_only: true, and tmpfs: [/tmp]
${settings.user === '' ? '    cap_drop:\n      - ALL\n' : ''}    security_opt:
      - no-new-privileges:true
    # "--workers auto" follows both
    mem_limit: ${jobs ? '1g' : '512m'}
    cpus: 2
${redis ? service(redis) : ''}${volumes.length === 0 ? '' : `\nvolumes:\n${volumes.map((one) => `  ${one}:\n`).join('')}`}`
}

function environment({ settings, isSet }: Facts, redis: Redis | undefined): string {
  const lines = [
    ...(isSet('gracefulTimeout')
      ? []
      : [`      GRACEFUL_TIMEOUT: ${yamlQuoted(settings.gracefulTimeout)}\n`]),
    ...(redis && redis.way !== 'settings'
      ? [`      REDIS_URL: redis://${redis.host}:6379/0\n`]
      : []),
  ]
  return lines.length === 0 ? '' : `    environment:\n${lines.join('')}`
}

const service = ({ host }: Redis): string => `
  # the jobs: what was accepted is on the disk within a second, and nothing is thrown away to make room
  ${host}:
    image: redis:7-alpine
    command: ['redis-server', '--appendonly', 'yes', '--maxmemory-policy', 'noeviction']
    restart: unless-stopped
    volumes:
      - ${host}:/data
`
