// Gunicorn's settings -> ours: the names, and what a reader of the new file should know. Pure. Runs in the CLI.
import { dirtyAdvice, gunicornFlags } from '../../gunicorn-flags.ts'
import { hookNames } from '../../hooks.ts'
import { isSettingName, type SettingName } from '../../settings.ts'
import { constant, type Constant, type Expression } from './expression.ts'
import type { PythonFile } from './python.ts'
import { nothingYet, put, type Taken } from './taken.ts'

/** Keys of a settings file that are called otherwise here; all others have the same name in camelCase. */
const RENAMED: Readonly<Record<string, SettingName>> = {
  accesslog: 'accessLog',
  access_log_format: 'accessLogFormat',
  errorlog: 'logFile',
  loglevel: 'logLevel',
  keepalive: 'keepAlive',
  preload_app: 'preload',
  proc_name: 'name',
  raw_env: 'env',
  limit_request_field_size: 'maxHeaderSize',
}

/** Keys whose flag is spelled otherwise. */
const FLAGS: Readonly<Record<string, string>> = {
  logconfig: 'log-config',
  logconfig_dict: 'log-config',
  logconfig_json: 'log-config-json',
  syslog: 'log-syslog',
  syslog_addr: 'log-syslog-to',
  syslog_prefix: 'log-syslog-prefix',
  syslog_facility: 'log-syslog-facility',
}

/** What is different here. */
const REMARKS: Partial<Record<SettingName, string>> = {
  timeout:
    'a request that takes longer gets a 504; its worker goes on with the others, unless it is blocked',
  threads:
    "the size of each worker's thread pool (files, DNS, compression); a worker serves many requests at once anyway",
  keepAlive: 'behind a proxy, longer than the proxy keeps idle connections',
  preload: 'the app is loaded once to see that it loads; each worker then loads it by itself',
  workerConnections: 'a full worker leaves new connections to the others',
}

const CPUS_REMARK =
  "as before; 'auto', one for each CPU that the container grants, is usually right for Node"

/** The file's settings; the hooks are named, for they are code. */
export function fromPython(file: PythonFile): Taken {
  const taken = nothingYet()
  for (const [key, { source, value }] of file.values) {
    if (key === 'wsgi_app') taken.remarks.push(appRemark(value.js))
    else if (!take(taken, key, source, value) && !file.helpers.has(key) && !/^_|^[A-Z]/.test(key))
      taken.left.push({ source, why: 'it is no setting of Gunicorn that has a meaning here' })
  }
  taken.left.push(...file.left)
  for (const name of file.functions) {
    const hook = hookNames.find((one) => one.toLowerCase() === name.replaceAll('_', ''))
    if (hook)
      taken.left.push({
        source: `def ${name}(...)`,
        why: `write ${hook}() in JavaScript: docs/hooks.md`,
      })
    else if (/^[a-z]/.test(name))
      taken.left.push({
        source: `def ${name}(...)`,
        why: 'it is Python, and no hook that there is here',
      })
  }
  return taken
}

export const appRemark = (app: string): string =>
  `The app was ${app}: start yours, as in supervisor start app.js`

/** False if Gunicorn has no such setting, as far as we know. */
function take(taken: Taken, key: string, source: string, value: Expression): boolean {
  const name = settingOf(key)
  if (name) {
    takeSetting(taken, name, value, source)
    return true
  }
  const why = dirtyAdvice(key) ?? gunicornFlags[FLAGS[key] ?? key.replaceAll('_', '-')]?.why
  if (why !== undefined) taken.left.push({ source, why })
  return why !== undefined
}

function settingOf(key: string): SettingName | undefined {
  const name = RENAMED[key] ?? key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  return isSettingName(name) ? name : undefined
}

export function takeSetting(
  taken: Taken,
  name: SettingName,
  value: Expression,
  source: string,
): void {
  if (value.value === null)
    return void taken.left.push({ source, why: 'nothing is the default here as well' })
  // Gunicorn's default; a pool of one thread would be slow
  if (name === 'threads' && value.value === 1)
    return void taken.left.push({ source, why: REMARKS.threads! })
  const remark = name === 'workers' && value.countsCpus ? CPUS_REMARK : REMARKS[name]
  put(taken, name, adapted(name, value), source, remark === undefined ? [] : [remark])
}

/** What Python writes otherwise. */
function adapted(name: SettingName, expression: Expression): Expression {
  const { value } = expression
  if (name === 'umask' && typeof value === 'number')
    return constant(value.toString(8).padStart(4, '0'))
  if (name === 'env' && Array.isArray(value)) return constant(variablesFrom(value as Constant[]))
  return expression
}

/** `['A=b']` -> { A: 'b' } */
const variablesFrom = (list: readonly Constant[]): Constant =>
  Object.fromEntries(
    list.map((pair) => {
      const [key = '', ...rest] = String(pair).split('=')
      return [key, rest.join('=')]
    }),
  )
