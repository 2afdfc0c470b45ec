/**
 * Compiles the package into dist/, and the benches and examples into .cache/run/. Called by the other scripts.
 *
 * The compiler writes next to the target and what changed is moved over file by file, so that a program that runs from
 * the target meanwhile, and boots a lane from it, never finds a file missing or half written.
 */
import { spawn } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** The package: src to dist. */
export const PACKAGE = { project: 'tsconfig.json', target: 'dist', assetsFrom: [] }
/** Benches and examples, with the files beside them that they read (.proto and the like). */
export const PROGRAMS = {
  project: 'tsconfig.run.json',
  target: '.cache/run',
  assetsFrom: ['bench', 'examples', 'test/proof'],
}

/** Resolves to whether the project compiled; messages go to stderr. Without `isChecked` type errors are let pass. */
export async function compile({ project, target, assetsFrom }, { isChecked }) {
  const stage = join(ROOT, `${target}.stage-${process.pid}`)
  try {
    const args = ['-p', project, '--outDir', stage, ...(isChecked ? [] : ['--noCheck'])]
    if ((await run('node_modules/.bin/tsc', args)) !== 0) return false
    for (const folder of assetsFrom) {
      await cp(join(ROOT, folder), join(stage, folder), { recursive: true, filter: isAsset })
    }
    await moveOver(stage, join(ROOT, target))
    return true
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

/** Runs a program in the repository, its output on stderr; resolves to its exit code. */
export function run(command, args) {
  return new Promise((resolve, reject) => {
    // stdout belongs to the program that the scripts start in the end: `--json` promises one document and nothing else.
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2] })
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

function isAsset(path) {
  return !/(\.ts|\.md)$/.test(path) && relative(ROOT, path) !== join('bench', 'results')
}

async function moveOver(from, to) {
  const fresh = new Set(await filesUnder(from))
  for (const file of fresh) {
    const [next, present] = await Promise.all([readFile(join(from, file)), readFile(join(to, file)).catch(() => null)])
    if (present?.equals(next)) continue
    await mkdir(dirname(join(to, file)), { recursive: true })
    await rename(join(from, file), join(to, file))
  }
  for (const file of await filesUnder(to)) {
    if (!fresh.has(file)) await rm(join(to, file), { force: true })
  }
}

async function filesUnder(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)))
}
