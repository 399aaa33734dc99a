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
        '^[a-z][-a-z0-9]*$': object(
          {
            build: string,
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
          },
          'build',
          'ports',
          'healthcheck',
        ),
      },
      additionalProperties: false,
    },
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
      seccompProfile: labels,
    }),
    containers: list(container),
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

/** The specification of an app of the App Platform, as far as ours goes. */
export const APP_PLATFORM = object(
  {
    name: { type: 'string', pattern: '^[a-z][a-z0-9-]{0,30}[a-z0-9]$' },
    services: list(
      object(
        {
          name,
          environment_slug: { enum: ['node-js'] },
          source_dir: string,
          build_command: string,
          run_command: string,
          http_port: number,
          instance_count: number,
          instance_size_slug: string,
          health_check: object({
            http_path: string,
            initial_delay_seconds: number,
            period_seconds: number,
            timeout_seconds: number,
          }),
          termination: object({
            drain_seconds: { type: 'integer', minimum: 1, maximum: 110 },
            grace_period_seconds: { type: 'integer', minimum: 1, maximum: 600 },
          }),
          envs: list(
            object(
              { key: string, value: string, scope: { enum: ['RUN_TIME', 'BUILD_TIME'] } },
              'key',
            ),
          ),
        },
        'name',
        'run_command',
      ),
    ),
  },
  'name',
  'services',
)
