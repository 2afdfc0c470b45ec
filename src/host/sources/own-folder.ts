/**
 * The engine's own folder for what lanes load that does not stand anywhere else: bundles, and copies of files that are named
 * by their hash. It lies in the system's temporary folder, which others may clean: what is missing when a lane starts is made
 * anew, of the same bytes. What nothing loads any more is removed. The server's thread only.
 */
import { lstat, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { constants, gunzip, gzip } from 'node:zlib'
import { HookringError } from '../../contracts/errors.js'

/** Of the folders that bundles and copies are written to. */
export const BUNDLES_PREFIX = 'hookring-'

/** Makes a file that has gone once more, of the bytes that it had. */
type Remake = (file: string) => Promise<void>

export class OwnFolder {
  readonly #remakes = new Map<string, Remake>()
  #folder: Promise<string> | null = null
  #count = 0

  /** A new file with these contents: its file: URL. @throws HookringError SOURCES_UNWRITABLE */
  async write(contents: Uint8Array): Promise<string> {
    const kept = await promisify(gzip)(contents, { level: constants.Z_BEST_SPEED })
    return this.make('.mjs', async (file) => {
      await written(file, async () => writeFile(file, await promisify(gunzip)(kept)))
    })
  }

  /** A new file that `make` writes, now and whenever it has gone. @throws HookringError SOURCES_UNWRITABLE */
  async make(extension: string, make: Remake): Promise<string> {
    this.#folder ??= mkdtemp(join(tmpdir(), BUNDLES_PREFIX)).catch(unwritable(tmpdir()))
    this.#count += 1
    const file = join(await this.#folder, `plugin-${this.#count}${extension}`)
    await this.#write(file, make)
    const url = pathToFileURL(file).href
    this.#remakes.set(url, make)
    return url
  }

  /** Before a lane loads these. @throws HookringError SOURCES_UNWRITABLE, INTEGRITY_MISMATCH */
  async ensure(urls: readonly string[]): Promise<void> {
    for (const url of urls) {
      const make = this.#remakes.get(url)
      if (make === undefined) continue
      const file = fileURLToPath(url)
      if ((await stat(file).catch(() => null)) === null) await this.#write(file, make)
    }
  }

  /** No lane loads these any more. */
  async release(urls: readonly string[]): Promise<void> {
    for (const url of urls) {
      if (!this.#remakes.delete(url)) continue
      const file = fileURLToPath(url)
      const names = await readdir(dirname(file)).catch(() => [])
      // What lanes keep of it lies beside it, under its name and more.
      const own = names.filter((name) => name.startsWith(basename(file)))
      await Promise.all(own.map((name) => rm(join(dirname(file), name), { force: true }).catch(() => {})))
    }
  }

  async close(): Promise<void> {
    this.#remakes.clear()
    const folder = await this.#folder?.catch(() => null)
    if (folder) await rm(folder, { recursive: true, force: true })
  }

  async #write(file: string, make: Remake): Promise<void> {
    const folder = dirname(file)
    await mkdir(folder, { mode: 0o700 }).catch(async (error: NodeJS.ErrnoException) => {
      // Where everybody may write, somebody else may have made a folder of the name since ours was removed.
      const found = error.code === 'EEXIST' ? await lstat(folder).catch(() => null) : null
      if (found?.isDirectory() && found.uid === (process.getuid?.() ?? found.uid)) return
      unwritable(folder)(error)
    })
    await make(file)
  }
}

async function written(file: string, write: () => Promise<void>): Promise<void> {
  await write().catch(unwritable(file))
}

function unwritable(path: string): (cause: unknown) => never {
  return (cause) => {
    const message = `what is made of plugins cannot be written to ${path}: ${(cause as Error).message}; set TMPDIR to a folder that can be written`
    throw new HookringError('SOURCES_UNWRITABLE', message, { cause })
  }
}
