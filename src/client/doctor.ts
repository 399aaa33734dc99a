// `supervisor doctor`: what the server says of itself, or what is to be said of the settings of this directory. Runs in the CLI.

import { environment, loadConfig } from '../config.ts'
import { examine, type Finding } from '../doctor.ts'
import { gatherFacts } from '../doctor-facts.ts'
import type { Call } from './call.ts'
import { findNamed, type Wanted } from './find.ts'
import { harmless } from './format.ts'

interface Examined {
  readonly about: string
  readonly findings: readonly Finding[]
}

/** Answers the exit status: 1 if something is wrong. */
export async function doctor({
  wanted,
  flags,
  print,
  width,
}: { wanted: Wanted } & Pick<Call, 'flags' | 'print' | 'width'>): Promise<number> {
  const examined = (await examineServer(wanted)) ?? (await examineSettings(wanted.directory))
  if (flags['json']) print(JSON.stringify(examined, null, 2))
  else for (const line of findingsView(examined, width)) print(line)
  return examined.findings.some(({ level }) => level === 'wrong') ? 1 : 0
}

async function examineServer(wanted: Wanted): Promise<Examined | undefined> {
  const server = await findNamed(wanted)
  if (!server) return undefined
  try {
    const { name, pid } = server.hello
    return { about: `${name} (pid ${pid})`, findings: await server.ask<Finding[]>('doctor') }
  } finally {
    server.close()
  }
}

async function examineSettings(directory: string): Promise<Examined> {
  const { settings } = await loadConfig({ cwd: directory })
  const about = `the settings of ${directory}; no server runs here`
  return { about, findings: examine(gatherFacts({ settings, env: environment(), directory })) }
}

const TITLES = { wrong: 'WRONG', advice: 'advice', fine: 'fine' }
const WIDEST = 100

/** For each finding what was measured, then what comes of it and the fix. */
export function findingsView({ about, findings }: Examined, width: number): string[] {
  const name = Math.max(...findings.map(({ check }) => check.length))
  const indent = 'advice'.length + name + 4
  const room = Math.max(24, Math.min(width, WIDEST) - indent)
  const lines = findings.flatMap(({ level, check, measured, why, fix }) => {
    const texts = [measured, ...(why ? [why] : []), ...(fix ? [`fix: ${fix}`] : [])]
    const head = `${TITLES[level].padEnd('advice'.length)}  ${check.padEnd(name)}  `
    return texts
      .flatMap((text) => wrapped(harmless(text), room))
      .map((text, n) => (n === 0 ? head : ' '.repeat(indent)) + text)
  })
  const count = (level: Finding['level']): number =>
    findings.filter((one) => one.level === level).length
  const sum = `${count('wrong')} wrong, ${count('advice')} to consider, ${count('fine')} fine`
  return [`supervisor doctor: ${about}`, '', ...lines, '', sum]
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
