// What the files of other tools may have, as far as those of `supervisor init` go; no key is allowed that they do not know.

const object = (properties: object, ...required: string[]): object => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})
const list = (items: object): object => ({ type: 'array', items })
const string = { type: 'string', minLength: 1 }
const number = { type: 'integer', minimum: 1 }
const duration = { type: 'string', pattern: '^\\d+s$' }
const name = { type: 'string', pattern: '^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$' }
const labels = { type: 'object', additionalProperties: string }

/** What the files of Compose may have, as far as ours go. */
export const COMPOSE = object(
  {
    services: {
      type: 'object',
      patternProperties: {
        '^[a-z][-a-z0-9]*$': object({
          build: string,
          image: string,
          command: list(string),
          depends_on: list(string),
          volumes: list({ type: 'string', pattern: '^[a-z]+:/' }),
          init: { type: 'boolean' },
          restart: { enum: ['unless-stopped'] },
          ports: list({ type: 'string', pattern: '^\\d+:\\d+$' }),
          environment: { type: 'object', additionalProperties: string },
          stop_grace_period: duration,
          healthcheck: object({
            test: list(string),
            interval: duration,
            timeout: duration,
            start_period: duration,
          }),
          cap_drop: list(string),
          security_opt: list(string),
          mem_limit: string,
          cpus: { type: 'number' },
        }),
      },
      additionalProperties: false,
    },
    volumes: { type: 'object', additionalProperties: { type: 'null' } },
  },
  'services',
)

const probe = object(
  {
    httpGet: object(
      { path: { type: 'string', pattern: '^/' }, port: { enum: ['http', 'admin'] } },
      'path',
      'port',
    ),
    periodSeconds: number,
    timeoutSeconds: number,
    failureThreshold: number,
  },
  'httpGet',
)
const container = object(
  {
    name,
    image: string,
    args: list(string),
    command: list(string),
    volumeMounts: list(object({ name, mountPath: string }, 'name', 'mountPath')),
    ports: list(object({ name, containerPort: number }, 'containerPort')),
    env: list(
      object(
        {
          name: string,
          value: { type: 'string' },
          valueFrom: object({
            secretKeyRef: object({ name, key: string }, 'name', 'key'),
          }),
        },
        'name',
      ),
    ),
    startupProbe: probe,
    readinessProbe: probe,
    livenessProbe: probe,
    resources: object({ requests: labels, limits: labels }),
    securityContext: object({
      allowPrivilegeEscalation: { type: 'boolean' },
      capabilities: object({ drop: list(string) }),
    }),
  },
  'name',
  'image',
)
const pod = object(
  {
    terminationGracePeriodSeconds: number,
    securityContext: object({
      runAsNonRoot: { type: 'boolean' },
      runAsUser: number,
      fsGroup: number,
      seccompProfile: labels,
    }),
    containers: list(container),
    volumes: list(object({ name, persistentVolumeClaim: object({ claimName: name }) }, 'name')),
  },
  'containers',
)

/** apps/v1 Deployment and v1 Service, as far as ours go. */
export const KUBERNETES = {
  anyOf: [
    object(
      {
        apiVersion: { const: 'apps/v1' },
        kind: { const: 'Deployment' },
        metadata: object({ name, labels }, 'name'),
        spec: object(
          {
            replicas: number,
            selector: object({ matchLabels: labels }, 'matchLabels'),
            strategy: object({
              type: { enum: ['Recreate', 'RollingUpdate'] },
              rollingUpdate: object({ maxUnavailable: { type: 'integer' }, maxSurge: number }),
            }),
            template: object({ metadata: object({ labels }), spec: pod }, 'metadata', 'spec'),
          },
          'selector',
          'template',
        ),
      },
      'apiVersion',
      'kind',
      'metadata',
      'spec',
    ),
    object(
      {
        apiVersion: { const: 'v1' },
        kind: { const: 'PersistentVolumeClaim' },
        metadata: object({ name }, 'name'),
        spec: object(
          {
            accessModes: list({ enum: ['ReadWriteOnce'] }),
            resources: object({ requests: labels }, 'requests'),
          },
          'accessModes',
          'resources',
        ),
      },
      'apiVersion',
      'kind',
      'metadata',
      'spec',
    ),
    object(
      {
        apiVersion: { const: 'v1' },
        kind: { const: 'Service' },
        metadata: object({ name }, 'name'),
        spec: object({
          selector: labels,
          ports: list(object({ name, port: number, targetPort: string }, 'port')),
        }),
      },
      'apiVersion',
      'kind',
      'metadata',
      'spec',
    ),
  ],
}

/** What a service and a worker of the App Platform have both. */
const component = {
  name,
  environment_slug: { enum: ['node-js'] },
  source_dir: string,
  build_command: string,
  run_command: string,
  instance_count: number,
  instance_size_slug: string,
  envs: list(
    object({ key: string, value: string, scope: { enum: ['RUN_TIME', 'BUILD_TIME'] } }, 'key'),
  ),
}
const drain = { type: 'integer', minimum: 1, maximum: 110 }
const grace = { type: 'integer', minimum: 1, maximum: 600 }

/** The specification of an app of the App Platform, as far as ours goes. */
export const APP_PLATFORM = object(
  {
    name: { type: 'string', pattern: '^[a-z][a-z0-9-]{0,30}[a-z0-9]$' },
    services: list(
      object(
        {
          ...component,
          http_port: number,
          health_check: object({
            http_path: string,
            initial_delay_seconds: number,
            period_seconds: number,
            timeout_seconds: number,
          }),
          termination: object({ drain_seconds: drain, grace_period_seconds: grace }),
        },
        'name',
        'run_command',
      ),
    ),
    workers: list(
      object(
        { ...component, termination: object({ grace_period_seconds: grace }) },
        'name',
        'run_command',
      ),
    ),
    databases: list(
      object({
        name,
        engine: { enum: ['VALKEY'] },
        production: { type: 'boolean' },
        cluster_name: name,
      }),
    ),
  },
  'name',
  'services',
)
