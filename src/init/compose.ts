// `supervisor init compose`: the app's container under Docker Compose. Its content is that of deploy/docker/. Pure. Runs in the CLI.
import { containerPort, graceOf, type Made, SUPERVISOR, yamlQuoted } from './derived.ts'
import type { Facts } from './facts.ts'

export const compose = (facts: Facts): Made => ({
  files: { 'compose.yaml': text(facts) },
  next: [
    'It builds the Dockerfile of this directory: "supervisor init docker" writes one.',
    'Start it: docker compose up --build',
  ],
})

const text = (facts: Facts): string => {
  const { name, settings, isSet } = facts
  const port = containerPort(facts)
  const graceful = isSet('gracefulTimeout')
    ? ''
    : `    environment:
      GRACEFUL_TIMEOUT: ${yamlQuoted(settings.gracefulTimeout)}
`
  return `# ${name} under Docker Compose, made by "supervisor init compose". It is yours now.
services:
  ${name}:
    build: .
    # an init as the first process: it ends those that the app has left behind
    init: true
    restart: unless-stopped
    ports:
      - ${yamlQuoted(`${port}:${port}`)}
${graceful}    # longer than a worker may take to finish its requests (gracefulTimeout); then Docker kills
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
    mem_limit: 512m
    cpus: 2
`
}
