// `supervisor init k8s`: a Deployment and a Service of Kubernetes, and what jobs need beside them. Pure. Runs in the CLI.
import { isLocal, tryAdminAddress } from '../admin-address.ts'
import {
  ADMIN_PORT,
  adminPort,
  containerPort,
  graceOf,
  hasFlag,
  type Made,
  openWords,
  SUPERVISOR,
  withoutFlag,
  yamlQuoted,
} from './derived.ts'
import type { Facts } from './facts.ts'
import { isShared, jobsWords, storeDirectory } from './jobs.ts'

export const k8s = (facts: Facts): Made => {
  const { name, jobs } = facts
  const documents = [
    ...(hasVolume(facts) ? [claim(name)] : []),
    deployment(facts),
    ...(isShared(jobs) ? [workers(facts)] : []),
    service(name),
  ]
  const url = `, and ${name}-redis --from-literal=url=redis://HOST:6379/0`
  return {
    files: { 'deploy/k8s.yaml': `${header(name)}${documents.join('---\n')}` },
    next: [
      `Before: push the image of "supervisor init docker", and kubectl create secret generic ${name}-admin --from-literal=token=$(openssl rand -hex 16)${hasSecretUrl(facts) ? url : ''}`,
      'Start it: kubectl apply -f deploy/k8s.yaml',
    ],
  }
}

const header = (name: string): string =>
  `# ${name} on Kubernetes, made by "supervisor init k8s". It is yours now.\n`

/** Until every load balancer has heard that the pod leaves. */
const PRE_STOP_SECONDS = 5

const hasVolume = ({ jobs, directory }: Facts): boolean =>
  storeDirectory(jobs, directory) !== undefined

const hasSecretUrl = ({ jobs }: Facts): boolean => jobs?.store === 'redis' && !jobs.url

const deployment = (facts: Facts): string => {
  const { name, settings, jobs } = facts
  const preStopDelay = settings.preStopDelay || PRE_STOP_SECONDS
  const rollout =
    jobs?.store === 'embedded'
      ? `  # the embedded store of the jobs serves one pod: for more, put them into a Redis
  replicas: 1
  strategy:
    type: Recreate
`
      : `  replicas: 2
  strategy:
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
`
  return `${head(name)}${rollout}${template(name)}      # longer than preStopDelay and gracefulTimeout together${jobs?.store === 'embedded' ? ', and than jobs may take (grace)' : ''}
      terminationGracePeriodSeconds: ${graceOf(isShared(jobs) ? { ...facts, jobs: undefined } : facts, preStopDelay)}
${podSecurity(facts)}      containers:
        - name: ${name}
          image: ${name}:latest
${container(facts)}${hasVolume(facts) ? `      volumes:\n        - name: jobs\n          persistentVolumeClaim:\n            claimName: ${name}-jobs\n` : ''}`
}

/** They serve nobody, so nothing probes them: whoever hangs is replaced by their supervisor. */
const workers = (facts: Facts): string => {
  const { name, jobs, words } = facts
  const command = [SUPERVISOR, ...jobsWords(words)].map(yamlQuoted).join(', ')
  return `${head(`${name}-jobs`)}  replicas: 1
${template(`${name}-jobs`)}      # longer than a job may take to be done or given back (grace)
      terminationGracePeriodSeconds: ${(jobs?.grace ?? 0) + 5}
${podSecurity(facts)}      containers:
        - name: jobs
          image: ${name}:latest
          command: [${command}]
${hasSecretUrl(facts) ? `          env:\n${redisUrl(name)}` : ''}${limits(facts)}${containerSecurity(facts)}`
}

const head = (name: string): string => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
  labels:
    app: ${name}
spec:
`

const template = (name: string): string => `  selector:
    matchLabels:
      app: ${name}
  template:
    metadata:
      labels:
        app: ${name}
    spec:
`

const podSecurity = (facts: Facts): string => `      securityContext:
${facts.settings.user === '' ? '        runAsNonRoot: true\n        runAsUser: 1000\n' : ''}${hasVolume(facts) ? '        fsGroup: 1000\n' : ''}        seccompProfile:
          type: RuntimeDefault
`

const container = (facts: Facts): string => {
  const { settings, jobs, directory } = facts
  const port = containerPort(facts)
  const admin = adminPort(facts) || ADMIN_PORT
  const store = storeDirectory(jobs, directory)
  const mounts = `          volumeMounts:
            - name: jobs
              mountPath: /app/${store}
`
  return `${args(facts, port, admin)}          ports:
            - name: http
              containerPort: ${port}
            - name: admin
              containerPort: ${admin}
          env:
            - name: PORT
              value: ${yamlQuoted(port)}
${environment(facts, admin)}${store === undefined ? '' : mounts}          # the app has as long to boot as bootTimeout says
          startupProbe:
${probe('/readyz', 2, Math.ceil((settings.bootTimeout || 60) / 2) + 5)}          # no requests while it stops, or without a worker that is ready
          readinessProbe:
${probe('/readyz', 5, 1)}          # only a master that does not answer is killed; workers are its own business
          livenessProbe:
${probe('/livez', 10, 3)}${limits(facts)}${containerSecurity(facts)}`
}

/** The image has the same words; but a flag wins over SUPERVISOR_ADMIN, and the probes must reach the address. */
function args(facts: Facts, port: number, admin: number): string {
  if (isReachable(facts) || !hasFlag(facts.words, '--admin')) return ''
  const [, ...words] = withoutFlag(openWords(facts, port), '--admin', '--admin')
  const all = [...words, '--admin', `:${admin}`].map(yamlQuoted).join(', ')
  return `          # those of the image, with an admin address that the probes reach\n          args: [${all}]\n`
}

function isReachable({ settings }: Facts): boolean {
  const address = tryAdminAddress(settings.admin)
  return address?.type === 'tcp' && address.port > 0 && !isLocal(address)
}

const environment = (facts: Facts, admin: number): string => {
  const { name, settings, isSet, jobs } = facts
  const needsAddress = !isReachable(facts) && !hasFlag(facts.words, '--admin')
  const lines = [
    ...(isSet('gracefulTimeout') ? [] : [['GRACEFUL_TIMEOUT', settings.gracefulTimeout] as const]),
    ...(settings.preStopDelay > 0
      ? []
      : [['SUPERVISOR_PRE_STOP_DELAY', PRE_STOP_SECONDS] as const]),
    ...(needsAddress ? [['SUPERVISOR_ADMIN', `:${admin}`] as const] : []),
    ...(isShared(jobs) ? [['NUM_WORKERS', 0] as const] : []),
  ]
  return `${lines
    .map(
      ([key, value]) => `            - name: ${key}
              value: ${yamlQuoted(value)}
`,
    )
    .join(
      '',
    )}${hasSecretUrl(facts) ? redisUrl(name) : ''}            # what others can reach needs a token; the probes do not
${secret('SUPERVISOR_ADMIN_TOKEN', `${name}-admin`, 'token')}`
}

const redisUrl = (name: string): string => secret('REDIS_URL', `${name}-redis`, 'url')

const secret = (
  variable: string,
  name: string,
  key: string,
): string => `            - name: ${variable}
              valueFrom:
                secretKeyRef:
                  name: ${name}
                  key: ${key}
`

const probe = (path: string, period: number, failures: number): string => `            httpGet:
              path: ${path}
              port: admin
            periodSeconds: ${period}
            timeoutSeconds: 5
            failureThreshold: ${failures}
`

const limits = ({ jobs }: Facts): string => `          resources:
            requests:
              cpu: 250m
              memory: ${jobs ? '512Mi' : '256Mi'}
            limits:
              memory: ${jobs ? '1Gi' : '512Mi'}
`

const containerSecurity = ({ settings }: Facts): string => `          securityContext:
            allowPrivilegeEscalation: false
            # an app that writes no files: readOnlyRootFilesystem: true, and an emptyDir at /tmp
${settings.user === '' ? "            capabilities:\n              drop: ['ALL']\n" : ''}`

const claim = (name: string): string => `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: ${name}-jobs
spec:
  accessModes: ['ReadWriteOnce']
  resources:
    requests:
      storage: 1Gi
`

const service = (name: string): string => `apiVersion: v1
kind: Service
metadata:
  name: ${name}
spec:
  selector:
    app: ${name}
  ports:
    - name: http
      port: 80
      targetPort: http
`
