// A real nginx in front of a server, with the site that `supervisor init nginx` writes; in the foreground, and with everything it
// writes in a directory of its own.
import { execFileSync, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { request } from './client.ts'
import { everyPath } from './command.ts'
import { signalIfThere } from './process.ts'
import { bareEnvironment, cli, fixtures } from './server.ts'
import { tempDir, type Teardown } from './temp.ts'
import { until } from './until.ts'

export interface Nginx {
  /** unix:/path, for nginx knows no port 0. */
  readonly url: string
  /** Its error log so far. */
  errors(): string
}

const env = { ...process.env, PATH: everyPath }

/** Its version; undefined where there is none. */
export function nginxVersion(): string | undefined {
  try {
    // It says so on stderr.
    const text = execFileSync('sh', ['-c', 'exec nginx -v 2>&1'], { encoding: 'utf8', env })
    return /nginx\/([\d.]+)/.exec(text)?.[1]
  } catch (error) {
    // 127: there is no such command.
    if ((error as { status?: unknown }).status === 127) return undefined
    throw error
  }
}

/** No second try: what the server loses is lost. */
const config = (dir: string, site: string): string => `
daemon off;
master_process off;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log info;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path ${dir}/body;
  proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi;
  scgi_temp_path ${dir}/scgi;
  keepalive_requests 1000000;
  proxy_next_upstream off;
${site.replace('listen 80;', `listen unix:${dir}/nginx.sock;`)}
}
`

/** What `supervisor init nginx` writes for a server at `base`, started with these flags. */
const siteOf = (base: string, flags: readonly string[]): string => {
  const bind = base.startsWith('unix:') ? base : new URL(base).host
  const words = ['init', 'nginx', 'hello-export.js', '--bind', bind, ...flags, '--print']
  const options = { cwd: fixtures, encoding: 'utf8', env: bareEnvironment() } as const
  return execFileSync(process.execPath, [cli, ...words], options)
}

/**
 * Answers once its first answer has the status. `base`: the server's http://host:port or unix:/path; `flags`: those of the server
 * that the site depends on. It ends with the test, by its pid.
 */
export async function startNginx(
  t: Teardown,
  base: string,
  flags: readonly string[] = [],
  wanted = 200,
): Promise<Nginx> {
  const dir = tempDir(t, { 'error.log': '' })
  const file = join(dir, 'nginx.conf')
  writeFileSync(file, config(dir, siteOf(base, flags)))
  const args = ['-p', dir, '-e', `${dir}/error.log`, '-c', file]
  const child = spawn('nginx', args, { stdio: 'ignore', env })
  const errors = (): string => readFileSync(join(dir, 'error.log'), 'utf8')
  t.onTestFinished(async () => {
    if (child.exitCode === null) signalIfThere(child.pid!, 'SIGTERM')
    await until('nginx has ended', () => child.exitCode !== null || child.signalCode !== null)
  })
  const url = `unix:${dir}/nginx.sock`
  await until('nginx serves', () => {
    if (child.exitCode !== null) throw new Error(`nginx has ended: ${errors()}`)
    return request(url, '/').then(
      ({ status }) => status === wanted,
      () => false, // ENOENT, ECONNREFUSED: not yet
    )
  })
  return { url, errors }
}
