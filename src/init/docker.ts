// `supervisor init docker`: an image of the app. Its content is that of deploy/docker/. Pure. Runs in the CLI.
import { containerPort, graceOf, type Made, openWords, shellQuoted, SUPERVISOR } from './derived.ts'
import type { Facts } from './facts.ts'
import { dataDirectory, storeDirectory } from './jobs.ts'

export function docker(facts: Facts): Made {
  const { name, isSet, jobs, directory } = facts
  const port = containerPort(facts)
  const patience = isSet('gracefulTimeout') || jobs ? ` --stop-timeout ${graceOf(facts)}` : ''
  const store = storeDirectory(jobs, directory)
  const volume = store === undefined ? '' : ` -v ${shellQuoted(`${name}-jobs:/app/${store}`)}`
  return {
    files: { Dockerfile: dockerfile(facts, port), '.dockerignore': ignored(facts) },
    next: [
      `Build it: docker build -t ${name} .`,
      `Run it: docker run --init${patience}${volume} -p ${port}:${port} ${name}`,
    ],
  }
}

const dockerfile = (facts: Facts, port: number): string => {
  const { node, packages, settings } = facts
  const { prepare, install, files, build, prune } = packages
  const run = [build, prune].filter((line) => line !== undefined).join(' && ')
  const [command, ...words] = openWords(facts, port)
  return `# An image of ${facts.name}, made by "supervisor init docker". It is yours now.

FROM node:${node}-slim AS build
WORKDIR /app
${prepare === undefined ? '' : `RUN ${prepare}\n`}COPY ${['package.json', ...files].join(' ')} ./
RUN ${install}
COPY . .
RUN ${run}

FROM node:${node}-slim
ENV NODE_ENV=production
ENV PORT=${port}
${stopTime(facts)}WORKDIR /app
# the files stay root's: the app cannot change its own code
COPY --from=build /app ./
${makeStore(facts)}${settings.user === '' ? 'USER node' : `# no USER here: the settings say that workers run as ${settings.user}`}
EXPOSE ${port}
HEALTHCHECK --interval=10s --timeout=5s --start-period=${Math.ceil(settings.bootTimeout) || 60}s \\
  CMD ["${SUPERVISOR}", "status", "--quiet"]
# with brackets, so that the supervisor is the first process and gets the signals
ENTRYPOINT ${jsonList([SUPERVISOR, command!])}
CMD ${jsonList(words)}
`
}

/** A volume that is mounted there gets the owner of the directory that it covers. */
function makeStore({ jobs, directory, settings }: Facts): string {
  const store = storeDirectory(jobs, directory)
  if (store === undefined) return ''
  const path = shellQuoted(store)
  const owner = settings.user === '' ? ` && chown node:node ${path}` : ''
  return `# jobs are in there: mount a volume, or they end with the container\nRUN mkdir -p ${path}${owner}\n`
}

const stopTime = (facts: Facts): string =>
  facts.isSet('gracefulTimeout') || facts.jobs
    ? `# docker stop kills after 10 s, which is too early: give it ${graceOf(facts)} s with --stop-timeout\n`
    : '# docker stop kills after 10 s; with more time than that, raise it\nENV GRACEFUL_TIMEOUT=8\n'

/** As Docker wants it: JSON in one line. */
const jsonList = (words: readonly string[]): string =>
  `[${words.map((word) => JSON.stringify(word)).join(', ')}]`

const ignored = ({ jobs, directory }: Facts): string => {
  const data = dataDirectory(jobs, directory)
  return `${DOCKERIGNORE}${data === undefined ? '' : `${data}\n`}`
}

const DOCKERIGNORE = `# What the image must not have: node_modules is made anew, and secrets come in at run time.
node_modules
.git
.gitignore
.env
.env.*
*.log
Dockerfile
.dockerignore
compose.yaml
deploy
`
