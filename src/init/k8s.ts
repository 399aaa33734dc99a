// `supervisor init k8s`: a Deployment and a Service of Kubernetes. Pure. Runs in the CLI.
import { isLocal, tryAdminAddress } from '../admin-address.ts'
import { ADMIN_PORT, adminPort, containerPort, graceOf, type Made, yamlQuoted } from './derived.ts'
import type { Facts } from './facts.ts'

export const k8s = (facts: Facts): Made => ({
  files: { 'deploy/k8s.yaml': `${deployment(facts)}---\n${service(facts)}` },
  next: [
    `Before: push the image of "supervisor init docker", and kubectl create secret generic ${facts.name}-admin --from-literal=token=$(openssl rand -hex 16)`,
    'Start it: kubectl apply -f deploy/k8s.yaml',
  ],
})

/** Until every load balancer has heard that the pod leaves. */
const PRE_STOP_SECONDS = 5

const deployment = (facts: Facts): string => {
  const { name, settings } = facts
  const preStopDelay = settings.preStopDelay || PRE_STOP_SECONDS
  return `# ${name} on Kubernetes, made by "supervisor init k8s". It is yours now.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
  labels:
    app: ${name}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: ${name}
  strategy:
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  template:
    metadata:
      labels:
        app: ${name}
    spec:
      # longer than preStopDelay and gracefulTimeout together
      terminationGracePeriodSeconds: ${graceOf(facts, preStopDelay)}
      securityContext:
${settings.user === '' ? '        runAsNonRoot: true\n        runAsUser: 1000\n' : ''}        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: ${name}
          image: ${name}:latest
${container(facts)}`
}

const container = (facts: Facts): string => {
  const { settings } = facts
  const port = containerPort(facts)
  const admin = adminPort(facts) ?? ADMIN_PORT
  return `          ports:
            - name: http
              containerPort: ${port}
            - name: admin
              containerPort: ${admin}
          env:
            - name: PORT
              value: ${yamlQuoted(port)}
${environment(facts, admin)}          # the app has as long to boot as bootTimeout says
          startupProbe:
${probe('/readyz', 2, Math.ceil((settings.bootTimeout || 60) / 2) + 5)}          # no requests while it stops, or without a worker that is ready
          readinessProbe:
${probe('/readyz', 5, 1)}          # only a master that does not answer is killed; workers are its own business
          livenessProbe:
${probe('/livez', 10, 3)}          resources:
            requests:
              cpu: 250m
              memory: 256Mi
            limits:
              memory: 512Mi
          securityContext:
            allowPrivilegeEscalation: false
            # an app that writes no files: readOnlyRootFilesystem: true, and an emptyDir at /tmp
${settings.user === '' ? "            capabilities:\n              drop: ['ALL']\n" : ''}`
}

const environment = (facts: Facts, admin: number): string => {
  const { name, settings, isSet } = facts
  const address = tryAdminAddress(settings.admin)
  const isReachable = address !== undefined && !isLocal(address)
  const lines = [
    ...(isSet('gracefulTimeout') ? [] : [['GRACEFUL_TIMEOUT', settings.gracefulTimeout] as const]),
    ...(settings.preStopDelay > 0
      ? []
      : [['SUPERVISOR_PRE_STOP_DELAY', PRE_STOP_SECONDS] as const]),
    ...(isReachable ? [] : [['SUPERVISOR_ADMIN', `:${admin}`] as const]),
  ]
  return `${lines
    .map(
      ([key, value]) => `            - name: ${key}
              value: ${yamlQuoted(value)}
`,
    )
    .join('')}            # what others can reach needs a token; the probes do not
            - name: SUPERVISOR_ADMIN_TOKEN
              valueFrom:
                secretKeyRef:
                  name: ${name}-admin
                  key: token
`
}

const probe = (path: string, period: number, failures: number): string => `            httpGet:
              path: ${path}
              port: admin
            periodSeconds: ${period}
            timeoutSeconds: 5
            failureThreshold: ${failures}
`

const service = ({ name }: Facts): string => `apiVersion: v1
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
