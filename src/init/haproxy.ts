// `supervisor init haproxy`: HAProxy in front of the app. Pure. Runs in the CLI.
import { tryAdminAddress } from '../admin-address.ts'
import { hostAndPort, largestBody, type Made, proxyKeepAlive, proxyTimeout } from './derived.ts'
import type { Facts } from './facts.ts'

export const haproxy = (facts: Facts): Made => ({
  files: { 'deploy/haproxy.cfg': text(facts) },
  next: [
    'Check it: haproxy -c -f deploy/haproxy.cfg',
    'Install it: sudo cp deploy/haproxy.cfg /etc/haproxy/ && sudo systemctl reload haproxy',
  ],
})

const text = (facts: Facts): string => {
  const { name } = facts
  const seconds = proxyTimeout(facts)
  const idle = proxyKeepAlive(facts)
  return `# HAProxy in front of ${name}, made by "supervisor init haproxy". It is yours now.
global
    log /dev/log local0
    maxconn 4096

defaults
    mode http
    log global
    option httplog
    option forwardfor
    timeout connect 5s
    timeout http-request 30s
    timeout http-keep-alive 60s
    # longer than the longest timeout of the server, so that clients get its 504
    timeout client ${seconds}s
    timeout server ${seconds}s
    # WebSockets
    timeout tunnel 1h

frontend web
    bind :80
    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
${body(facts)}    default_backend ${name}

backend ${name}
${unverified(facts)}${check(facts)}${idle === 0 ? '    option httpclose\n' : `    # idle connections are kept for the next requests, and closed before the server would do it (keepAlive, ${facts.settings.keepAlive} s)\n`}    server ${name} ${address(facts)}${tls(facts)}${proxyHeader(facts)} check${checkAddress(facts)}${idle === 0 ? '' : ` pool-purge-delay ${Math.min(5, idle)}s`}
`
}

/** A header says how large it will be; what comes without one the server counts. */
const body = (facts: Facts): string => {
  const bytes = largestBody(facts)
  if (bytes === 0) return ''
  return `    # as maxBody
    http-request deny deny_status 413 if { req.hdr_val(content-length) gt ${bytes} }
`
}

/** Health checks by the admin address have none of this: it is another address. */
function tls({ certificate }: Facts): string {
  if (!certificate) return ''
  if (certificate === 'unknown') return ' ssl verify none'
  const { name, authority } = certificate
  const file = authority === undefined ? '@system-ca' : quoted(authority)
  return ` ssl verify required ca-file ${file} verifyhost ${name} sni str(${name}) check-sni ${name}`
}

const unverified = ({ certificate }: Facts): string =>
  certificate === 'unknown'
    ? '    # nobody is verified, as the certificate was not there to be read: see verify, ca-file and verifyhost\n'
    : ''

/** Who the client is, before all else. */
function proxyHeader({ settings: { proxyProtocol } }: Facts): string {
  if (proxyProtocol === 'off') return ''
  return proxyProtocol === 'v1' ? ' send-proxy' : ' send-proxy-v2'
}

const quoted = (path: string): string => path.replace(/[\s"'\\#$]/g, '\\$&')

const address = ({ address: one }: Facts): string => {
  if (one.type === 'unix') return `unix@${quoted(one.path)}`
  return one.type === 'tcp' ? hostAndPort(one.host, one.port) : '127.0.0.1:8000'
}

/** By the admin address HAProxy learns of a stop before the server leaves. */
const check = ({ settings }: Facts): string =>
  tryAdminAddress(settings.admin)
    ? `    # the admin address says whether it should get requests
    option httpchk GET /readyz
    http-check expect status 200
`
    : '    # with an admin address (--admin 127.0.0.1:9100), init makes this a check of /readyz\n'

const checkAddress = ({ settings }: Facts): string => {
  const admin = tryAdminAddress(settings.admin)
  if (admin?.type === 'unix') return ` addr unix@${admin.path}`
  const near: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  return admin?.type === 'tcp'
    ? ` addr ${near[admin.host] ?? admin.host} port ${admin.port} inter 1s fall 2`
    : ''
}
