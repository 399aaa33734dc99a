// `supervisor init nginx`: a site of nginx in front of the app. Pure. Runs in the CLI.
import type { ServeAddress } from '../address.ts'
import { hostAndPort, largestBody, type Made, proxyKeepAlive, proxyTimeout } from './derived.ts'
import type { Facts } from './facts.ts'

export const nginx = (facts: Facts): Made => ({
  files: { 'deploy/nginx.conf': site(facts) },
  ...(facts.settings.proxyProtocol !== 'off' && {
    first:
      'First: take proxyProtocol out of the settings. nginx speaks it in its stream module alone; here X-Forwarded-For says who the client is.',
  }),
  next: [
    `Install it: sudo cp deploy/nginx.conf /etc/nginx/conf.d/${facts.name}.conf`,
    'Check and load it: sudo nginx -t && sudo nginx -s reload',
  ],
})

const site = (facts: Facts): string => {
  const { name } = facts
  const seconds = proxyTimeout(facts)
  const connection = `$${name.replaceAll('-', '_')}_connection`
  return `# nginx in front of ${name}, made by "supervisor init nginx". It is yours now. It belongs into http { }, as conf.d/ is.

upstream ${name} {
    server ${server(facts.address)};
${keepAlive(facts)}}

# WebSockets ask for an upgrade; for all others no "Connection: close" is sent, so that connections to the app are kept
map $http_upgrade ${connection} {
    default upgrade;
    ''      '';
}

server {
    listen 80;
    server_name _;

${body(facts)}
    location / {
        proxy_pass ${facts.certificate ? 'https' : 'http'}://${name};
${tls(facts)}        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection ${connection};

        proxy_connect_timeout 5s;
        # longer than the longest timeout of the server, so that clients get its 504; a WebSocket or an event stream that is
        # silent for longer is ended
        proxy_read_timeout ${seconds}s;
        proxy_send_timeout ${seconds}s;
    }
}
`
}

const server = (address: ServeAddress): string => {
  if (address.type === 'tcp') return hostAndPort(address.host, address.port)
  return quoted(address.type === 'unix' ? `unix:${address.path}` : '127.0.0.1:8000')
}

/** The default of nginx is to verify nobody. */
function tls({ certificate }: Facts): string {
  if (!certificate) return ''
  const lines =
    certificate === 'unknown'
      ? ['# nobody is verified, as the certificate was not there to be read: see proxy_ssl_verify']
      : [
          '# the certificate of the app, and no other',
          'proxy_ssl_verify on;',
          `proxy_ssl_trusted_certificate ${quoted(certificate.authority ?? SYSTEM_AUTHORITIES)};`,
          `proxy_ssl_name ${certificate.name};`,
          'proxy_ssl_server_name on;',
        ]
  return ['proxy_ssl_protocols TLSv1.2 TLSv1.3;', ...lines]
    .map((line) => `        ${line}\n`)
    .join('')
}
/** Of Debian, Alpine and their like. */
const SYSTEM_AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt'

const quoted = (text: string): string =>
  /[\s;{}"'\\]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text

const keepAlive = (facts: Facts): string => {
  const seconds = proxyKeepAlive(facts)
  if (seconds === 0) return ''
  return `    # idle connections, for the next requests; closed before the server would do it (keepAlive, ${facts.settings.keepAlive} s)
    keepalive 32;
    keepalive_timeout ${seconds}s;
`
}

const body = (facts: Facts): string => {
  const bytes = largestBody(facts)
  return bytes === 0
    ? `    # maxBody sets no limit, so nginx has none either; its own would be 1 MB
    client_max_body_size 0;
`
    : `    # as maxBody
    client_max_body_size ${sizeOf(bytes)};
`
}

const sizeOf = (bytes: number): string => {
  if (bytes % 1024 ** 2 === 0) return `${bytes / 1024 ** 2}m`
  return bytes % 1024 === 0 ? `${bytes / 1024}k` : String(bytes)
}
