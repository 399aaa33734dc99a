// Which package manager a project has, by its lock file, and what an image must run to install with it. Runs in the CLI.
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** What we read of a package.json. */
export interface Manifest {
  readonly name?: string
  readonly engines?: { readonly node?: string }
  readonly packageManager?: string
  readonly scripts?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
}

export interface Packages {
  readonly manager: 'npm' | 'pnpm' | 'yarn'
  /** Beside package.json, what the installation reads. */
  readonly files: readonly string[]
  /** Makes the manager itself; none for npm. */
  readonly prepare: string | undefined
  readonly install: string
  /** Takes away what only the build needs. */
  readonly prune: string
  readonly build: string | undefined
  /** nodicorn is among the dependencies. */
  readonly hasServer: boolean
  /** `npm install nodicorn` */
  readonly add: string
}

type Way = Pick<Packages, 'manager' | 'prepare' | 'install' | 'prune' | 'add'>

export function packagesOf(directory: string, manifest: Manifest): Packages {
  const has = (file: string): boolean => existsSync(join(directory, file))
  const wanted = manifest.packageManager?.split('+')[0]
  const way = has('pnpm-lock.yaml')
    ? pnpm(wanted)
    : has('yarn.lock')
      ? yarn(wanted, has('.yarnrc.yml'))
      : npm(has('package-lock.json') || has('npm-shrinkwrap.json'))
  const { manager } = way
  return {
    ...way,
    files: FILES[manager].filter(has),
    build: manifest.scripts?.build === undefined ? undefined : `${manager} run build`,
    hasServer: manifest.dependencies?.['nodicorn'] !== undefined,
  }
}

const FILES: Readonly<Record<Packages['manager'], readonly string[]>> = {
  npm: ['package-lock.json', 'npm-shrinkwrap.json', '.npmrc'],
  pnpm: ['pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc'],
  yarn: ['yarn.lock', '.yarnrc.yml', '.yarnrc'],
}

const npm = (isLocked: boolean): Way => ({
  manager: 'npm',
  prepare: undefined,
  install: isLocked ? 'npm ci' : 'npm install',
  prune: 'npm prune --omit=dev',
  add: 'npm install nodicorn',
})

const pnpm = (wanted = 'pnpm'): Way => ({
  manager: 'pnpm',
  prepare: `npm install --global ${wanted}`,
  install: 'pnpm install --frozen-lockfile',
  prune: 'pnpm prune --prod',
  add: 'pnpm add nodicorn',
})

/** Images have yarn 1 themselves up to Node 24; the newer ones come by Corepack, and must make a node_modules. */
const yarn = (wanted: string | undefined, isBerry: boolean): Way =>
  isBerry || /^yarn@[2-9]/.test(wanted ?? '')
    ? {
        manager: 'yarn',
        prepare: 'npm install --global --force corepack && corepack enable',
        install: 'YARN_NODE_LINKER=node-modules yarn install --immutable',
        prune: 'YARN_NODE_LINKER=node-modules yarn workspaces focus --all --production',
        add: 'yarn add nodicorn',
      }
    : {
        manager: 'yarn',
        prepare: 'npm install --global --force yarn@1',
        install: 'yarn install --frozen-lockfile',
        prune: 'yarn install --frozen-lockfile --production',
        add: 'yarn add nodicorn',
      }
