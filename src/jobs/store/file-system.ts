// Whether a directory is on this machine: a store that two machines open is lost. Runs in the store.
import { statfsSync } from 'node:fs'
import { UserError } from '../../errors.ts'

/** What statfs(2) says of those that several machines see. */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x5346414f, 'AFS'],
  [0x00c36400, 'Ceph'],
])

/** The name of a network file system; undefined for any other. Some systems have the type as a signed number. */
export const networkOf = (type: number): string | undefined => NETWORK.get(type >>> 0)

/** @throws UserError JOB_STORE if it is on a network file system. */
export function checkPlace(dataDir: string): void {
  const name = networkOf(statfsSync(dataDir).type)
  if (name === undefined) return
  throw new UserError(
    'JOB_STORE',
    `the job store in ${dataDir} is on a network file system (${name}), and serves one machine only: give jobs.dataDir a directory of this machine, or set REDIS_URL, which several machines may share`,
  )
}
