/** Small projects of several files, written where `hookring` resolves, for the time of one test. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { onTestFinished } from 'vitest'

const home = fileURLToPath(new URL('../..', import.meta.url))
const cache = join(home, '.cache')

export const LAB = new URL('../fixtures/lab/contract.mjs', import.meta.url).href

/** A plugin of the lab contract that answers with `text`, an expression; what it needs for that stands in `before`. */
export function answering(text: string, before = ''): string {
  return `${before}
import { definePlugin } from 'hookring/plugin'
import { lab } from '${LAB}'
export default definePlugin(lab, { name: 'answering', setup: () => ({ onRespond: async () => ({ text: String(${text}) }) }) })`
}

export interface Project {
  readonly folder: string
  url(file: string): URL
  write(file: string, text: string): void
  /** A link such as npm makes for the packages of a workspace. */
  link(from: string, to: string): void
}

/** The folder is removed when the test is over. */
export function project(files: Readonly<Record<string, string>>): Project {
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'test-project-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = (file: string) => {
    const whole = join(folder, file)
    mkdirSync(dirname(whole), { recursive: true })
    return whole
  }
  const made: Project = {
    folder,
    url: (file) => pathToFileURL(join(folder, file)),
    write: (file, text) => writeFileSync(path(file), text),
    link: (from, to) => symlinkSync(join(folder, to), path(from)),
  }
  for (const [file, text] of Object.entries(files)) made.write(file, text)
  // A package.json of its own ends what a package may say of itself.
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  symlinkSync(home, join(folder, 'node_modules/hookring'))
  return made
}
