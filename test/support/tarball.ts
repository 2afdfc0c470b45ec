/** The package as it is published, for tests that install it as a user would. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Runs a command to its end, without the flags that this test run's own Node.js was given. */
export function run(command: string, args: readonly string[], cwd: string, env: Environment = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const said = { stdout: '', stderr: '' }
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        said[stream] += text
      })
    }
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, ...said }))
  })
}

export const node = (args: readonly string[], cwd: string, env?: Environment) => run(process.execPath, args, cwd, env)

/** A folder in the temporary folder with the packed tarball in it. */
export async function packed(name: string): Promise<{ folder: string; tarball: string }> {
  const folder = await mkdtemp(join(tmpdir(), `hookring-${name}-`))
  const said = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], ROOT)
  if (said.code !== 0) throw new Error(`npm pack: ${said.stderr}`)
  const [{ filename }] = JSON.parse(said.stdout) as [{ filename: string }]
  return { folder, tarball: join(folder, filename) }
}

/** Files by their path in the folder. */
export async function write(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
}

/** A project with these packages, installed by npm; what its cache has is not asked for again. */
export async function install(
  folder: string,
  packages: readonly string[],
  manifest: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await write(folder, { 'package.json': JSON.stringify({ name: 'user', private: true, type: 'module', ...manifest }) })
  const args = ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline', ...packages]
  const said = await run('npm', args, folder)
  if (said.code !== 0) throw new Error(`npm install ${packages.join(' ')}: ${said.stdout}${said.stderr}`)
}

/** Lets projects below a folder find packages of this tree, as if they were installed there. */
export async function lend(folder: string, packages: readonly string[]): Promise<void> {
  for (const name of packages) {
    const at = join(folder, 'node_modules', name)
    await mkdir(dirname(at), { recursive: true })
    await symlink(join(ROOT, 'node_modules', name), at)
  }
}

/** How strict users compile what imports the package. */
export const STRICT_FLAGS = [
  '--strict',
  '--target',
  'es2022',
  '--module',
  'nodenext',
  '--types',
  'node',
  '--exactOptionalPropertyTypes',
]
