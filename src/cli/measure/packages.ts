/**
 * Finds packages that hookring is compared with, first in the user's folder and then beside hookring, and imports them
 * when they are needed. Any thread.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * The module's exports; its default export if that is all there is.
 *
 * @throws Error PACKAGE_NOT_INSTALLED, naming what to install
 */
export async function importPackage<Exports>(specifier: string): Promise<Exports> {
  const module = (await import(locatePackage(specifier))) as object & { default?: Exports }
  const isWhole = Object.keys(module).some((name) => name !== 'default' && name !== 'module.exports')
  return isWhole ? (module as Exports) : (module.default as Exports)
}

/** The file: URL of a package's module. @throws Error PACKAGE_NOT_INSTALLED */
export function locatePackage(specifier: string): string {
  for (const from of [join(process.cwd(), 'hookring'), new URL(import.meta.url)]) {
    try {
      return pathToFileURL(createRequire(from).resolve(specifier)).href
    } catch {
      // Try the next place.
    }
  }
  const name = specifier.split('/')[0] as string
  throw Object.assign(new Error(`${name} is not installed: npm install ${name}, in ${process.cwd()}`), {
    code: 'PACKAGE_NOT_INSTALLED',
  })
}
