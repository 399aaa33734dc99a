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

export const doApp = (facts: Facts): Made => ({
  files: { '.do/app.yaml': text(facts) },
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
  const { name, packages, settings } = facts
  const build = [packages.install, packages.build].filter((line) => line !== undefined)
  const command = [SUPERVISOR, ...openWords(facts, '$PORT')].map(shellQuoted).join(' ')
  return `# ${name} on DigitalOcean's App Platform, made by "supervisor init do-app". It is yours now.
name: ${name.padEnd(2, '-app')}
services:
  - name: web
    environment_slug: node-js
    source_dir: /
    # github:
    #   repo: you/${name}
    #   branch: main
    build_command: ${yamlQuoted(build.join(' && '))}
    run_command: ${yamlQuoted(command)}
    http_port: ${PORT}
    instance_count: 1
    instance_size_slug: apps-s-1vcpu-1gb
    health_check:
${settings.readyCheck === '' ? '      # with a path (http_path: /healthz) it asks the app; without one it only connects\n' : `      http_path: ${settings.readyCheck}\n`}      initial_delay_seconds: 5
      period_seconds: 10
      timeout_seconds: 5
    # longer than a worker may take to finish its requests (gracefulTimeout); then it is killed
    termination:
      drain_seconds: 15
      grace_period_seconds: ${Math.min(MOST_SECONDS, graceOf(facts))}
    envs:
      - key: NODE_ENV
        value: production
        scope: RUN_TIME
`
}
