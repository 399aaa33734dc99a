// Whether a Redis keeps jobs: what it says of itself, judged. Pure.

export type RedisFault =
  /** It may throw jobs away: refused. */
  | { readonly kind: 'evicts'; readonly policy: string }
  /** What BullMQ uses is missing: refused. */
  | { readonly kind: 'old'; readonly version: string }
  /** A crash of Redis loses jobs: a warning. */
  | { readonly kind: 'forgets' }

const factsOf = (info: string): ReadonlyMap<string, string> =>
  new Map([...info.matchAll(/^([^:\r\n]+):([^\r\n]*)/gm)].map(([, name, value]) => [name!, value!]))

/** Its own: what Valkey calls redis_version is the Redis that it equals. */
export const versionOf = (info: string): string => {
  const facts = factsOf(info)
  return facts.get('valkey_version') ?? facts.get('redis_version') ?? ''
}

/** `info`: the answer to INFO. Valkey says redis_version too. */
export function checkRedis(info: string): RedisFault[] {
  const facts = factsOf(info)
  const version = facts.get('redis_version') ?? ''
  const policy = facts.get('maxmemory_policy') ?? 'noeviction'
  const faults: RedisFault[] = []
  if (isOlder(version)) faults.push({ kind: 'old', version })
  if (policy !== 'noeviction') faults.push({ kind: 'evicts', policy })
  if (facts.get('aof_enabled') === '0') faults.push({ kind: 'forgets' })
  return faults
}

const isOlder = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < 6 || (major === 6 && minor < 2)
}

/** What stops the start, as a sentence for people; undefined for a fault that one can live with. */
export function refusal(fault: RedisFault): string | undefined {
  switch (fault.kind) {
    case 'evicts':
      return `Redis may throw jobs away when its memory is full (maxmemory-policy ${fault.policy}): redis-cli CONFIG SET maxmemory-policy noeviction`
    case 'old':
      return `Redis ${fault.version} is too old for jobs: 6.2 or newer is needed`
    case 'forgets':
      return undefined
  }
}
