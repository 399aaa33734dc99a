// What makes the files of each target. Pure. Runs in the CLI.
import type { InitTarget } from '../init-targets.ts'
import { compose } from './compose.ts'
import type { Made } from './derived.ts'
import { doApp } from './do-app.ts'
import { docker } from './docker.ts'
import type { Facts } from './facts.ts'
import { haproxy } from './haproxy.ts'
import { k8s } from './k8s.ts'
import { nginx } from './nginx.ts'
import { procfile } from './procfile.ts'
import { systemd } from './systemd.ts'

export const targets: Readonly<Record<InitTarget, (facts: Facts) => Made>> = {
  docker,
  compose,
  systemd,
  nginx,
  haproxy,
  procfile,
  k8s,
  'do-app': doApp,
}
