// Every setting of Gunicorn 26.1, with its flags: what docs/from-gunicorn.md and its test are made of.
// `ours` is the setting or hook that stands for it, where neither a flag nor the name in camelCase finds it; `differs` is said of
// one that we have, `instead` of one that we have not. Whether we have it is looked up in src/.

const dirtyHook = 'none for [job processes](jobs.md): each loads the file `jobs.entry`'
const http2 = "an app that exports an HTTP/2 server sets it in Node's own options"
const logger = 'collect stdout; every line can be JSON (`--log-format json`)'

/** @type {Record<string, { flags?: string[], ours?: string, differs?: string, instead?: string }>} */
export const gunicornSettings = {
  config: {
    flags: ['-c', '--config'],
    instead: 'the same flags: `supervisor.config.ts`, `.js` or `.json`',
  },
  wsgi_app: { instead: 'the word after `supervisor start`: `app.js`, or `app.js:app`' },

  bind: {
    flags: ['-b', '--bind'],
    differs: 'for an app that exports its handler; one that calls `listen()` itself decides itself',
  },
  backlog: { flags: ['--backlog'] },

  workers: {
    flags: ['-w', '--workers'],
    differs: 'also `auto`, for the CPUs of the container, and a range such as `2-8`',
  },
  worker_class: { flags: ['-k', '--worker-class'] },
  threads: {
    flags: ['--threads'],
    differs:
      "the size of each worker's libuv pool: files, DNS, cryptography. Requests need no threads",
  },
  worker_connections: { flags: ['--worker-connections'], differs: 'no limit by default, not 1000' },
  max_requests: {
    flags: ['--max-requests'],
    differs: 'the successor is ready before the old worker leaves',
  },
  max_requests_jitter: { flags: ['--max-requests-jitter'] },
  timeout: {
    flags: ['-t', '--timeout'],
    differs: 'of one request, which is answered 504; only a worker that is blocked is killed',
  },
  graceful_timeout: { flags: ['--graceful-timeout'] },
  keepalive: { flags: ['--keep-alive'], differs: '75 s by default, not 2 s' },
  limit_request_line: {
    flags: ['--limit-request-line'],
    differs: 'no limit of its own by default; `maxHeaderSize` bounds it',
  },
  limit_request_fields: { flags: ['--limit-request-fields'], differs: '2000 by default, not 100' },
  limit_request_field_size: {
    flags: ['--limit-request-field_size'],
    differs: 'of all headers together: 16 kB by default',
  },

  reload: { flags: ['--reload'], differs: 'many changed files bring one reload' },
  reload_engine: { flags: ['--reload-engine'] },
  reload_extra_files: { flags: ['--reload-extra-file'] },
  spew: { flags: ['--spew'] },
  check_config: {
    flags: ['--check-config'],
    instead: '`--check-config`, or `supervisor check`',
  },
  print_config: {
    flags: ['--print-config'],
    instead: '`--print-config`, or `supervisor config`, which also says where each value came from',
  },

  preload_app: {
    flags: ['--preload'],
    differs: 'fails early and boots faster, but shares no memory: Node cannot fork a heap',
  },
  sendfile: { flags: ['--no-sendfile'] },
  reuse_port: { flags: ['--reuse-port'] },
  chdir: { flags: ['--chdir'] },
  daemon: { flags: ['-D', '--daemon'] },
  raw_env: { flags: ['-e', '--env'], differs: 'an object in a settings file' },
  pidfile: { flags: ['-p', '--pid'] },
  worker_tmp_dir: { flags: ['--worker-tmp-dir'] },
  user: { flags: ['-u', '--user'] },
  group: { flags: ['-g', '--group'] },
  umask: { flags: ['-m', '--umask'], differs: 'inherited by default, not 0' },
  initgroups: { flags: ['--initgroups'] },
  tmp_upload_dir: { instead: 'nothing is written to disk for a request; the app decides' },
  secure_scheme_headers: { instead: 'a matter of the web framework, such as `trust proxy`' },
  forwarded_allow_ips: {
    flags: ['--forwarded-allow-ips'],
    differs: 'for the access log; what the app sees stays as it is',
  },

  accesslog: { flags: ['--access-logfile'] },
  disable_redirect_access_to_syslog: { flags: ['--disable-redirect-access-to-syslog'] },
  access_log_format: {
    flags: ['--access-logformat'],
    differs: "Gunicorn's formats, and `json`, `common` and `combined`",
  },
  errorlog: { flags: ['--error-logfile', '--log-file'], differs: '`-` is standard output' },
  loglevel: { flags: ['--log-level'] },
  capture_output: { flags: ['--capture-output'] },
  logger_class: { flags: ['--logger-class'] },
  logconfig: { flags: ['--log-config'] },
  logconfig_dict: { instead: logger },
  logconfig_json: { flags: ['--log-config-json'] },
  syslog_addr: { flags: ['--log-syslog-to'] },
  syslog: { flags: ['--log-syslog'] },
  syslog_prefix: { flags: ['--log-syslog-prefix'] },
  syslog_facility: { flags: ['--log-syslog-facility'] },
  enable_stdio_inheritance: { flags: ['-R', '--enable-stdio-inheritance'] },
  statsd_host: { flags: ['--statsd-host'], differs: 'a host and a port, no unix socket' },
  dogstatsd_tags: { flags: ['--dogstatsd-tags'] },
  statsd_prefix: {
    flags: ['--statsd-prefix'],
    differs: '`nodicorn` by default; with `gunicorn` the metrics have its names',
  },
  enable_backlog_metric: { flags: ['--enable-backlog-metric'] },

  proc_name: { flags: ['-n', '--name'] },
  default_proc_name: { instead: "the name of the app's file or folder" },

  pythonpath: { flags: ['--pythonpath'] },
  paste: { flags: ['--paste', '--paster'] },
  raw_paste_global_conf: { flags: ['--paste-global'] },

  on_starting: {},
  on_reload: {},
  when_ready: { differs: 'when all workers are ready, not before the first one is started' },
  pre_fork: {},
  post_fork: { differs: 'the first code in a new process: nothing is inherited' },
  post_worker_init: { differs: 'when the worker listens' },
  worker_int: {},
  worker_abort: { differs: "called in the master, with the blocked code's stack" },
  pre_exec: { instead: '`onStarting` of the new master; `onExit` of the old one says `upgraded`' },
  pre_request: {},
  post_request: { differs: 'told how it ended: finished, timeout or aborted' },
  child_exit: { differs: 'told why the worker ended' },
  worker_exit: {},
  nworkers_changed: {},
  on_exit: {},
  ssl_context: { instead: 'an app may export an `https` server with any options' },

  proxy_protocol: { flags: ['--proxy-protocol'] },
  proxy_allow_ips: { flags: ['--proxy-allow-from'] },
  protocol: { flags: ['--protocol'] },
  uwsgi_allow_ips: { flags: ['--uwsgi-allow-from'] },

  keyfile: { flags: ['--keyfile'] },
  certfile: { flags: ['--certfile'] },
  ssl_version: { flags: ['--ssl-version'] },
  cert_reqs: { flags: ['--cert-reqs'] },
  ca_certs: { flags: ['--ca-certs'] },
  suppress_ragged_eofs: { flags: ['--suppress-ragged-eofs'] },
  do_handshake_on_connect: { flags: ['--do-handshake-on-connect'] },
  ciphers: { flags: ['--ciphers'] },

  http_protocols: { flags: ['--http-protocols'], instead: http2 },
  http2_cleartext: { flags: ['--http2-cleartext'], instead: http2 },
  http2_max_concurrent_streams: { flags: ['--http2-max-concurrent-streams'], instead: http2 },
  http2_initial_window_size: { flags: ['--http2-initial-window-size'], instead: http2 },
  http2_max_frame_size: { flags: ['--http2-max-frame-size'], instead: http2 },
  http2_max_header_list_size: { flags: ['--http2-max-header-list-size'], instead: http2 },

  permit_obsolete_folding: { flags: ['--permit-obsolete-folding'] },
  strip_header_spaces: { flags: ['--strip-header-spaces'] },
  permit_unconventional_http_method: { flags: ['--permit-unconventional-http-method'] },
  permit_unconventional_http_version: { flags: ['--permit-unconventional-http-version'] },
  casefold_http_method: { flags: ['--casefold-http-method'] },
  forwarder_headers: { flags: ['--forwarder-headers'] },
  header_map: { flags: ['--header-map'] },
  asgi_loop: { flags: ['--asgi-loop'] },
  asgi_lifespan: { flags: ['--asgi-lifespan'] },
  asgi_disconnect_grace_period: { flags: ['--asgi-disconnect-grace-period'] },
  http_parser: { flags: ['--http-parser'] },
  root_path: { flags: ['--root-path'] },

  dirty_apps: {
    flags: ['--dirty-app'],
    instead: '[background jobs](jobs.md): `jobs.entry` is the file that defines them',
  },
  dirty_workers: { flags: ['--dirty-workers'], instead: '`workers` of [`jobs`](settings.md#jobs)' },
  dirty_timeout: {
    flags: ['--dirty-timeout'],
    instead: "`timeout` of a job's [definition](jobs.md#a-first-one); it ends the job",
  },
  dirty_threads: {
    flags: ['--dirty-threads'],
    instead: '`concurrency` of [`jobs`](settings.md#jobs)',
  },
  dirty_graceful_timeout: {
    flags: ['--dirty-graceful-timeout'],
    instead: '`grace` of [`jobs`](settings.md#jobs)',
  },
  on_dirty_starting: { instead: dirtyHook },
  dirty_post_fork: { instead: dirtyHook },
  dirty_worker_init: { instead: dirtyHook },
  dirty_worker_exit: { instead: dirtyHook },

  control_socket: { flags: ['--control-socket'] },
  control_socket_mode: { flags: ['--control-socket-mode'] },
  control_socket_disable: { flags: ['--no-control-socket'], differs: '`off`, or the same flag' },
}
