/** Makes a project: a contract, a plugin, a server and their tests. The files are those of templates/project. */
import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UsageError } from '../common/errors.js'

export interface ProjectRequest {
  /** Made if it is not there; must be empty otherwise. */
  readonly folder: string
  readonly isTypeScript: boolean
}

const PACKAGE = new URL('../../../', import.meta.url)
const TEMPLATE = fileURLToPath(new URL('templates/project', PACKAGE))
/** Files of a project without TypeScript, and of one with it. */
const OTHERS = { true: ['server.js'], false: ['server.ts', 'tsconfig.json'] } as const

/** @returns the files, relative to the folder. @throws UsageError FOLDER_NOT_EMPTY */
export async function makeProject({ folder, isTypeScript }: ProjectRequest): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  if ((await readdir(folder)).length > 0) {
    throw new UsageError(
      'FOLDER_NOT_EMPTY',
      `${folder} is not empty; name a new folder, or add a plugin with init plugin`,
    )
  }
  const left: readonly string[] = OTHERS[`${isTypeScript}`]
  await cp(TEMPLATE, folder, { recursive: true, filter: (source) => !left.includes(basename(source)) })
  await rename(join(folder, 'gitignore'), join(folder, '.gitignore'))
  if (isTypeScript) await renameScripts(folder)
  const name = nameOf(folder)
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(await manifestOf(name, isTypeScript), null, 2)}\n`)
  const readme = join(folder, 'README.md')
  await writeFile(readme, (await readFile(readme, 'utf8')).replace('NAME\n', `${name}\n`))
  return filesIn(folder)
}

/** The template's text is both: TypeScript infers every type in it. */
async function renameScripts(folder: string): Promise<void> {
  for (const file of await filesIn(folder)) {
    if (extname(file) === '.js') await rename(join(folder, file), join(folder, file.replace(/\.js$/, '.ts')))
  }
}

async function manifestOf(name: string, isTypeScript: boolean): Promise<object> {
  const own = JSON.parse(await readFile(new URL('package.json', PACKAGE), 'utf8')) as {
    version: string
    peerDependencies: Record<string, string>
    engines: object
  }
  // The newest of those that hookring takes.
  const zod = own.peerDependencies.zod?.split('||').at(-1)?.trim()
  const dependencies = { hookring: `^${own.version}`, zod }
  const head = { name, version: '0.1.0', private: true, type: 'module', engines: own.engines }
  if (!isTypeScript) {
    return { ...head, scripts: { start: 'node server.js', test: 'node --test' }, dependencies }
  }
  return {
    ...head,
    scripts: { build: 'tsc', start: 'tsc && node dist/server.js', test: 'tsc && node --test dist/test/*.test.js' },
    dependencies,
    devDependencies: { '@types/node': '^20.19.0', typescript: '>=5.8' },
  }
}

function nameOf(folder: string): string {
  return (
    basename(resolve(folder))
      .toLowerCase()
      .replace(/[^a-z0-9._-]+/g, '-')
      .replace(/^[._-]+/, '') || 'hooks'
  )
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dirname(join(folder, '_')).length + 1))
    .sort()
}
