/** What the nearest package.json says of files that have no word of modules in them. The compiler's thread only. */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export async function isInModulePackage(path: string): Promise<boolean> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => null)
    if (text !== null) return typeIn(text) === 'module'
    if (folder === dirname(folder)) return false
  }
}

function typeIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { type?: unknown } | null)?.type
  } catch {
    return undefined
  }
}
