/**
 * Makes a project: a plugin, a server, their tests and what the plugin is written for. The files are those of
 * templates/project, which every project has, and of templates/comments or templates/http.
 */
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UsageError } from '../common/errors.js'

export interface ProjectRequest {
  /** Made if it is not there; must be empty otherwise. */
  readonly folder: string
  readonly isTypeScript: boolean
  /** A Fastify server with the contract http@1; otherwise one of Node.js alone, with a contract of its own. */
  readonly isHttp: boolean
}

const PACKAGE = new URL('../../../', import.meta.url)
const TEMPLATES = fileURLToPath(new URL('templates', PACKAGE))

/** @returns the files, relative to the folder. @throws UsageError FOLDER_NOT_EMPTY */
export async function makeProject({ folder, isTypeScript, isHttp }: ProjectRequest): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  if ((await readdir(folder)).length > 0) {
    throw new UsageError(
      'FOLDER_NOT_EMPTY',
      `${folder} is not empty; name a new folder, or add a plugin with init plugin`,
    )
  }
  for (const template of ['project', isHttp ? 'http' : 'comments']) {
    await cp(join(TEMPLATES, template), folder, { recursive: true })
  }
  if (!isTypeScript) await rm(join(folder, 'tsconfig.json'))
  await rename(join(folder, 'gitignore'), join(folder, '.gitignore'))
  if (isTypeScript) await renameScripts(folder)
  const name = nameOf(folder)
  const manifest = await manifestOf({ name, isTypeScript, isHttp })
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  const readme = join(folder, 'README.md')
  await writeFile(readme, (await readFile(readme, 'utf8')).replace('NAME\n', `${name}\n`))
  return filesIn(folder)
}

/** A template's text is both languages: TypeScript infers every type in it. */
async function renameScripts(folder: string): Promise<void> {
  for (const file of await filesIn(folder)) {
    if (extname(file) === '.js') await rename(join(folder, file), join(folder, file.replace(/\.js$/, '.ts')))
  }
}

async function manifestOf({
  name,
  isTypeScript,
  isHttp,
}: Omit<ProjectRequest, 'folder'> & { readonly name: string }): Promise<object> {
  const own = JSON.parse(await readFile(new URL('package.json', PACKAGE), 'utf8')) as {
    version: string
    devDependencies: Record<string, string>
    engines: object
  }
  // In the versions that hookring is tested with.
  const { fastify, 'fastify-plugin': fastifyPlugin, zod } = own.devDependencies
  const server = isHttp ? { fastify, 'fastify-plugin': fastifyPlugin } : {}
  const dependencies = { ...server, hookring: `^${own.version}`, zod }
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
