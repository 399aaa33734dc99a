// "did you mean ...?": the complaints about names that do not exist. A leaf, imported only when there is something to complain about.
import leven from 'leven'
import { knownFlags } from './argv.ts'
import { UserError, unknownSetting } from './errors.ts'
import { dirtyAdvice, gunicornFlags, gunicornKeys } from './gunicorn-flags.ts'
import { hookNames, isHookName } from './hooks.ts'
import { flagsOf, settingNames, variablesOf } from './settings.ts'

/** Flattened, so that max_requests, --max-requests and maxRequests are the same word. */
const flat = (word: string): string => word.replace(/[-_]/g, '').toLowerCase()

/** The candidate that differs least from `word`, or undefined if none comes near (two letters in five may differ). */
export const nearest = (word: string, candidates: Iterable<string>): string | undefined => {
  const wanted = flat(word)
  let best: string | undefined
  let least = Math.max(1, Math.floor(wanted.length * 0.4)) + 1
  for (const candidate of candidates) {
    const distance = leven(wanted, flat(candidate))
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** `prefix` says where the flag stood, if not on the command line: 'GUNICORN_CMD_ARGS '. */
export const unknownFlag = (flag: string, prefix: string): UserError =>
  ofDirtyWorkers(prefix + flag, flag) ??
  unknownSetting(prefix + flag, 'flag', nearest(flag, knownFlags()))

function ofDirtyWorkers(where: string, name: string): UserError | undefined {
  const advice = dirtyAdvice(name)
  return advice === undefined
    ? undefined
    : new UserError('UNKNOWN_SETTING', `${where} has no meaning here: ${advice}`)
}

/** A key of a settings file, a setting or a hook; Gunicorn's names lead to ours. */
export const unknownKey = (key: string, source: string): UserError => {
  const dirty = ofDirtyWorkers(`${source}: ${key}`, key)
  if (dirty) return dirty
  const flag = gunicornKeys.get(key) ?? key.replaceAll('_', '-')
  const gunicorn = gunicornFlags[flag]
  if (gunicorn)
    return new UserError(
      'UNKNOWN_SETTING',
      `${source}: ${key} has no meaning in Node: ${gunicorn.why}; remove it`,
    )
  const names = new Map<string, string>([
    ...settingNames.flatMap((name) =>
      [name, ...flagsOf(name)].map((spelling) => [spelling, name] as const),
    ),
    ...hookNames.map((name) => [name, name] as const),
  ])
  const near = names.get(nearest(flag, names.keys()) ?? '')
  const kind = near !== undefined && isHookName(near) ? 'hook' : 'setting'
  return unknownSetting(`${source}: ${key}`, kind, near)
}

export const unknownVariable = (variable: string): UserError => {
  const prefix = 'SUPERVISOR_'
  const names = settingNames.map((name) => variablesOf(name)[0]?.slice(prefix.length) ?? '')
  const name = nearest(variable.slice(prefix.length), [...names, 'CONFIG'])
  return unknownSetting(variable, 'variable', name && prefix + name)
}
