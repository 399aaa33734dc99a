// What `supervisor init` can write, and its flags: for the command, its help and the shells. A leaf.
import type { FlagRow } from './commands.ts'

/** By the word that is typed; what it stands for in the help. */
export const initTargets = {
  docker: 'Dockerfile and .dockerignore',
  compose: 'compose.yaml, for Docker Compose',
  systemd: 'deploy/NAME.service, a unit of systemd',
  nginx: 'deploy/nginx.conf, nginx in front of the app',
  haproxy: 'deploy/haproxy.cfg, HAProxy in front of the app',
  procfile: 'Procfile, for Heroku, Dokku and their like',
  k8s: 'deploy/k8s.yaml, a Deployment and a Service of Kubernetes',
  'do-app': '.do/app.yaml, for the App Platform of DigitalOcean',
} as const

export type InitTarget = keyof typeof initTargets

export const isInitTarget = (word: string): word is InitTarget => Object.hasOwn(initTargets, word)

/** Beside those of `supervisor start`. */
export const initFlags = {
  from: {
    value: 'FILE',
    help: 'Write supervisor.config.ts from the settings of Gunicorn (gunicorn.conf.py, a shell script, Procfile, unit, Dockerfile) or PM2 (ecosystem.config.js)',
  },
  print: { help: 'Print the text in place of writing files' },
} as const satisfies Record<string, FlagRow>
