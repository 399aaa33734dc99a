// The packages that jobs need, optional peers all of them: loaded when they are used, and never before. Runs wherever jobs do.
import { createRequire } from 'node:module'
import { UserError } from '../errors.ts'

const INSTALL = {
  bullmq: 'bullmq@~6.7',
  '@electric-sql/pglite': '@electric-sql/pglite@~0.5.16',
  piscina: 'piscina@5',
  ioredis: 'ioredis@6',
  pg: 'pg@8',
  '@bull-board/api': '@bull-board/api@9',
  '@bull-board/ui': '@bull-board/ui@9',
} as const

/** What a store needs, so that one npm install is enough. */
const TOGETHER = {
  embedded: ['bullmq', '@electric-sql/pglite', 'piscina'],
  redis: ['bullmq', 'ioredis', 'piscina'],
  postgres: ['bullmq', 'pg', 'piscina'],
} as const satisfies Record<string, readonly (keyof typeof INSTALL)[]>

export type StoreKind = keyof typeof TOGETHER

export const kindOf = (store: string): StoreKind => {
  if (store === 'embedded') return 'embedded'
  return store.startsWith('redis') ? 'redis' : 'postgres'
}

type Loaded<T> = () => Promise<T>

/**
 * What `from` imports.
 * @throws UserError NO_JOBS with the npm install line if `name` is not installed.
 */
export async function load<T>(
  name: keyof typeof INSTALL,
  store: string,
  from: Loaded<T>,
): Promise<T> {
  try {
    return await from()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes(`'${name}'`)) throw error
    throw missing(name, kindOf(store))
  }
}

export const missing = (name: keyof typeof INSTALL, kind: StoreKind): UserError =>
  new UserError(
    'NO_JOBS',
    `jobs need the package ${name}: npm install ${TOGETHER[kind].map((one) => INSTALL[one]).join(' ')}`,
  )

export const loadBullmq = (store: string): Promise<typeof import('bullmq')> =>
  load('bullmq', store, () => import('bullmq'))

export const loadPglite = (): Promise<typeof import('@electric-sql/pglite')> =>
  load('@electric-sql/pglite', 'embedded', () => import('@electric-sql/pglite'))

export interface BullBoard {
  readonly createBullBoard: typeof import('@bull-board/api').createBullBoard
  readonly BullMQAdapter: typeof import('@bull-board/api/bullMQAdapter').BullMQAdapter
}

/** @throws UserError NO_JOBS with the npm install line if one of the two packages is not installed. */
export async function loadBullBoard(): Promise<BullBoard> {
  try {
    const { createBullBoard } = await import('@bull-board/api')
    const { BullMQAdapter } = await import('@bull-board/api/bullMQAdapter')
    createRequire(import.meta.url).resolve('@bull-board/ui/package.json')
    return { createBullBoard, BullMQAdapter }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!/^(ERR_)?MODULE_NOT_FOUND$/.test(code ?? '') || !message.includes('@bull-board/'))
      throw error
    const both = [INSTALL['@bull-board/api'], INSTALL['@bull-board/ui']].join(' ')
    throw new UserError('NO_JOBS', `the dashboard needs two packages: npm install ${both}`)
  }
}

type Piscina = typeof import('piscina').default

export const loadPiscina = (store: string): Promise<Piscina> =>
  load('piscina', store, async () => (await import('piscina')).Piscina as unknown as Piscina)

type Redis = typeof import('ioredis').Redis

export const loadRedis = (store: string): Promise<Redis> =>
  load('ioredis', store, async () => (await import('ioredis')).Redis)
