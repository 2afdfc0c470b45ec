/**
 * Reads the files of a plugin that is not trusted: regular files inside the folders that it is given, by their real paths,
 * up to a number of bytes in all. A bundling process only.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs'
import { sep } from 'node:path'
import { HookringError } from '../../../contracts/errors.js'
import { MAX_SOURCE_BYTES } from './protocol.js'

/** Why a file is not taken. The text names what the plugin wrote, and nothing that it has not written. */
export class SourceRefusal extends Error {}

export interface Found {
  /** Real path. */
  readonly path: string
  readonly kind: 'file' | 'folder'
}

/** More than the largest package.json that is published. */
const MAX_MANIFEST_BYTES = 1024 * 1024

export class SourceReader {
  #bytesLeft = MAX_SOURCE_BYTES

  /**
   * What stands at a path inside `areas`; null: nothing.
   *
   * @throws SourceRefusal when a symbolic link leads out of them, or what is there is neither file nor folder
   */
  find(path: string, areas: readonly string[]): Found | null {
    let real: string
    try {
      real = realpathSync.native(path)
    } catch {
      if (!isSymbolicLink(path)) return null
      // In a sandbox what it leads to is not there.
      throw new SourceRefusal('is a symbolic link that leads out of its folders, or nowhere')
    }
    if (!isInside(real, areas)) throw new SourceRefusal('is a symbolic link that leads out of its folders, or nowhere')
    const stat = statSync(real, { throwIfNoEntry: false })
    if (stat === undefined) return null
    if (stat.isDirectory()) return { path: real, kind: 'folder' }
    if (stat.isFile()) return { path: real, kind: 'file' }
    throw new SourceRefusal('is neither a file nor a folder')
  }

  /**
   * The bytes of a file that `find` has found.
   *
   * @throws SourceRefusal, HookringError PLUGIN_BUNDLE_TOO_LARGE
   */
  read(path: string): Uint8Array {
    const bytes = readUpTo(path, this.#bytesLeft)
    if (bytes === null) {
      const mebibytes = MAX_SOURCE_BYTES / 1024 / 1024
      throw new HookringError('PLUGIN_BUNDLE_TOO_LARGE', `its files and packages have more than ${mebibytes} MiB`)
    }
    this.#bytesLeft -= bytes.length
    return bytes
  }

  /** Null: it is longer than any manifest. @throws SourceRefusal */
  readManifest(path: string): Uint8Array | null {
    return readUpTo(path, MAX_MANIFEST_BYTES)
  }
}

/** Null: it is longer. The path is a real one, so it ends in no symbolic link, and a pipe is not waited for. */
function readUpTo(path: string, mostBytes: number): Uint8Array | null {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    throw new SourceRefusal('cannot be read')
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw new SourceRefusal('is not a file')
    if (stat.size > mostBytes) return null
    // A file may grow meanwhile: what is read is bounded, whatever it says of its size.
    const buffer = Buffer.allocUnsafe(stat.size + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(fd, buffer, length, buffer.length - length, length)
    }
    return length > stat.size ? null : buffer.subarray(0, length)
  } finally {
    closeSync(fd)
  }
}

export function isInside(path: string, areas: readonly string[]): boolean {
  return areas.some((area) => path === area || path.startsWith(area.endsWith(sep) ? area : area + sep))
}

function isSymbolicLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink()
  } catch {
    return false
  }
}
