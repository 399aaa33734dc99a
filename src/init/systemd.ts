// `supervisor init systemd`: the app as a service. Its content is that of deploy/systemd/. Pure. Runs in the CLI.
import { graceOf, type Made, SUPERVISOR } from './derived.ts'
import type { Facts } from './facts.ts'
import { isLocal, storeDirectory } from './jobs.ts'

export function systemd(facts: Facts): Made {
  const { name, settings } = facts
  const file = `deploy/${name}.service`
  const needsGroup = needsMode(facts) && !facts.isSet('socketGroup')
  const account = settings.user === '' ? `sudo useradd --system ${name}; ` : ''
  return {
    files: { [file]: unit(facts) },
    ...(needsGroup && {
      first: `First: let the proxy into the group of the socket, as Debian's nginx: sudo usermod -aG ${name} www-data`,
    }),
    next: [
      `Install it: ${account}sudo cp ${file} /etc/systemd/system/ && sudo systemctl daemon-reload`,
      `Start it: sudo systemctl enable --now ${name}`,
    ],
  }
}

const unit = (facts: Facts): string => {
  const { name, directory, words, settings, jobs } = facts
  const program = [
    `${directory}/${SUPERVISOR}`,
    ...words,
    ...socketMode(facts),
    ...controlSocket(facts),
  ]
  return `# /etc/systemd/system/${name}.service, made by "supervisor init systemd". It is yours now.
[Unit]
Description=${name}
Wants=network-online.target
After=network-online.target${redis(facts) ? ' redis.service redis-server.service' : ''}

[Service]
# it is started when all workers are ready
Type=notify
# systemd-notify speaks for the master, and a new master after an upgrade
NotifyAccess=all
${account(facts)}WorkingDirectory=${directory.replaceAll('%', '%%')}
Environment=NODE_ENV=production
${port(facts)}${redis(facts) === 'variable' ? '# where the jobs are\nEnvironment=REDIS_URL=redis://127.0.0.1:6379/0\n' : ''}${path(facts)}ExecStart=${program.map(quoted).join(' ')}
ExecReload=/bin/kill -HUP $MAINPID
# the signal to the master alone, which tells the workers; what is left is killed
KillMode=mixed
# a little more than gracefulTimeout and preStopDelay together${jobs ? ', or what jobs may take (grace)' : ''}
TimeoutStopSec=${graceOf(facts)}
# all workers are ready by then, or it has failed
TimeoutStartSec=${settings.bootTimeout === 0 ? 'infinity' : Math.ceil(settings.bootTimeout) + 30}
# a master that hangs is killed and started again
WatchdogSec=30
Restart=always
RestartSec=1
RuntimeDirectory=${name}
LimitNOFILE=65536
UMask=0027

${hardening(facts)}
[Install]
WantedBy=multi-user.target
`
}

/** The UMask of the unit would keep every proxy out; one that belongs to the workers' user is for their settings. */
const needsMode = ({ address, isSet, settings }: Facts): boolean =>
  address.type === 'unix' && settings.user === '' && !isSet('socketMode')

const socketMode = (facts: Facts): string[] => (needsMode(facts) ? ['--socket-mode', '660'] : [])

/** Whether this machine's Redis has the jobs, and who says so. */
function redis({ jobs }: Facts): 'variable' | 'settings' | undefined {
  if (jobs?.store !== 'redis') return undefined
  if (!jobs.url) return 'variable'
  return isLocal(jobs.url) ? 'settings' : undefined
}

/** /tmp is the service's own, so the socket is where "supervisor status --socket" reaches it. */
const controlSocket = ({ name, isSet }: Facts): string[] =>
  isSet('controlSocket') || isSet('pidfile')
    ? []
    : ['--control-socket', `/run/${name}/supervisor.ctl`]

const account = ({ name, settings: { user, group } }: Facts): string =>
  user === ''
    ? `User=${name}\nGroup=${group || name}\n`
    : `# no User here: the settings say that workers run as ${user}\n`

/** The proxy expects it there, also if the app listens by itself; an address of the settings reaches such an app without this. */
const port = ({ isSet, address }: Facts): string =>
  isSet('bind') || address.type !== 'tcp'
    ? ''
    : `Environment=HOST=${address.host} PORT=${address.port}\n`

/** Where systemd does not look by itself. */
const path = ({ nodeDirectory }: Facts): string =>
  ['/usr/bin', '/usr/local/bin', '/bin'].includes(nodeDirectory)
    ? ''
    : `Environment=${quoted(`PATH=${nodeDirectory}:/usr/local/bin:/usr/bin:/bin`)}\n`

const hardening = ({ directory, settings, address, jobs }: Facts): string => {
  const isUnder = (...places: string[]): boolean =>
    places.some((place) => `${directory}/`.startsWith(`${place}/`))
  const needsPort = address.type === 'tcp' && address.port > 0 && address.port < 1024
  const hasStoreElsewhere = jobs?.store === 'embedded' && !storeDirectory(jobs, directory)
  const written = [directory, ...(hasStoreElsewhere ? [jobs.directory] : [])]
  const rights = needsPort ? 'CAP_NET_BIND_SERVICE' : ''
  return [
    '# what the app may do; MemoryDenyWriteExecute cannot be set, as V8 writes machine code',
    'NoNewPrivileges=true',
    ...(settings.user === '' ? [`CapabilityBoundingSet=${rights}`] : []),
    ...(settings.user === '' && needsPort ? [`AmbientCapabilities=${rights}`] : []),
    'ProtectSystem=strict',
    '# the app may write into its own directory: narrow it to what it writes, or leave it out',
    `ReadWritePaths=${written.map(quoted).join(' ')}`,
    ...(isUnder('/home', '/root', '/run/user') ? [] : ['ProtectHome=true']),
    ...(isUnder('/tmp', '/var/tmp') ? [] : ['PrivateTmp=true']),
    ...HARDENING,
    '',
  ].join('\n')
}

const HARDENING = [
  'PrivateDevices=true',
  'ProtectClock=true',
  'ProtectControlGroups=true',
  'ProtectHostname=true',
  'ProtectKernelLogs=true',
  'ProtectKernelModules=true',
  'ProtectKernelTunables=true',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
  'RestrictNamespaces=true',
  'RestrictRealtime=true',
  'RestrictSUIDSGID=true',
  'LockPersonality=true',
  'SystemCallArchitectures=native',
  'SystemCallFilter=@system-service',
  'SystemCallErrorNumber=EPERM',
]

/** % and $ mean something to systemd, in quotes too. */
const quoted = (word: string): string => {
  const text = word.replaceAll('%', '%%').replaceAll('$', '$$$$')
  return /[\s"'\\;]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text
}
