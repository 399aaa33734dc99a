// Gunicorn's flags that have no meaning in Node: accepted, so that a known command line works, and explained in one
// log line each. A leaf, used by argv.ts.

interface GunicornFlag {
  readonly short?: string
  /** Takes a value in Gunicorn. */
  readonly value?: true
  /** Completes "--worker-class sync has no meaning in Node: ...". */
  readonly why: string
}

const parser = "Node's own HTTP parser decides"
const logger =
  'the log goes to stdout or --log-file as text or JSON, and whatever runs the server collects it'
const python = 'it configures Python'
const framework = 'this is a matter of the web framework'
const asgi = 'there is no ASGI'
const sendfile = 'the app decides how it sends files'

export const gunicornFlags: Readonly<Record<string, GunicornFlag>> = {
  'worker-class': {
    short: 'k',
    value: true,
    why: 'every worker serves many requests at once on its event loop',
  },
  'worker-tmp-dir': {
    value: true,
    why: 'workers report through a pipe, not through files',
  },
  'reuse-port': { why: 'the master binds each address once and all workers share it' },
  spew: { why: 'use --node-args=--inspect or --node-args=--cpu-prof to see what runs' },
  'no-sendfile': { why: sendfile },
  sendfile: { why: sendfile },
  daemon: {
    short: 'D',
    why: 'the server stays in the foreground; let systemd or a container run it in the background',
  },
  pythonpath: { value: true, why: python },
  paste: { value: true, why: python },
  paster: { value: true, why: python },
  'paste-global': { value: true, why: python },
  'log-config': { value: true, why: logger },
  'log-config-json': { value: true, why: logger },
  'log-syslog': { why: logger },
  'log-syslog-to': { value: true, why: logger },
  'log-syslog-prefix': { value: true, why: logger },
  'log-syslog-facility': { value: true, why: logger },
  'disable-redirect-access-to-syslog': { why: logger },
  'logger-class': { value: true, why: logger },
  'capture-output': { why: "the app's own output always passes through" },
  'enable-stdio-inheritance': { short: 'R', why: "the app's own output always passes through" },
  'enable-backlog-metric': { why: 'connections that wait are always among the metrics' },
  'control-socket-mode': {
    value: true,
    why: 'the control socket is for its owner and root alone',
  },
  initgroups: { why: 'workers run with --user and --group only' },
  'suppress-ragged-eofs': { why: "Node's own TLS decides" },
  'do-handshake-on-connect': { why: "Node's own TLS decides" },
  'ssl-version': { value: true, why: '--tls-min-version says which versions may be spoken' },
  'http-protocols': { value: true, why: '--http2 turns HTTP/2 on' },
  protocol: { value: true, why: 'workers speak HTTP' },
  'uwsgi-allow-from': { value: true, why: 'workers speak HTTP, not uWSGI' },
  'http-parser': { value: true, why: parser },
  'permit-obsolete-folding': { why: parser },
  'permit-unconventional-http-method': { why: parser },
  'permit-unconventional-http-version': { why: parser },
  'casefold-http-method': { why: parser },
  'strip-header-spaces': { why: parser },
  'header-map': { value: true, why: framework },
  'forwarder-headers': { value: true, why: framework },
  'root-path': { value: true, why: framework },
  'asgi-loop': { value: true, why: asgi },
  'asgi-lifespan': { value: true, why: asgi },
  'asgi-disconnect-grace-period': { value: true, why: asgi },
}

/** Keys of Gunicorn's settings file that differ from their flags by more than dashes. */
export const gunicornKeys: ReadonlyMap<string, string> = new Map([
  ['raw_env', 'env'],
  ['errorlog', 'error-logfile'],
  ['logconfig', 'log-config'],
  ['logconfig_dict', 'log-config'],
  ['logconfig_json', 'log-config-json'],
  ['syslog', 'log-syslog'],
  ['syslog_addr', 'log-syslog-to'],
  ['syslog_prefix', 'log-syslog-prefix'],
  ['syslog_facility', 'log-syslog-facility'],
  ['raw_paste_global_conf', 'paste-global'],
  ['uwsgi_allow_ips', 'uwsgi-allow-from'],
  ['proxy_allow_ips', 'proxy-allow-from'],
])

/** What is said of Gunicorn's settings and flags of dirty workers; undefined for others. */
export const dirtyAdvice = (name: string): string | undefined =>
  /^(--)?dirty[-_]/.test(name) ? 'jobs take the place of dirty workers: docs/jobs.md' : undefined

/** `--worker-class sync has no meaning in Node: every worker serves many requests at once on its event loop` */
export const meaningless = (written: string, name: string, value?: string): string =>
  `${written}${value === undefined ? '' : ` ${value}`} has no meaning in Node: ${gunicornFlags[name]?.why}`
