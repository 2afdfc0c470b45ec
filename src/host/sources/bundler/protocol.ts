/**
 * What the server's thread and a bundling process say to each other: a job as one line of JSON, an answer as a frame of
 * lengths, JSON and bytes. Types, and the frames. Both sides.
 */
import type { ErrorCode } from '../../../contracts/errors.js'

/**
 * What is made of a plugin.
 *
 * - `guest`: one module with everything in it, for runtimes without Node.js.
 * - `process`: one module with everything in it but Node.js, for a child process that reads no files.
 * - `module`: a module for a lane, its packages imported from where they are.
 */
export type BundleForm = 'guest' | 'process' | 'module'

/**
 * What a plugin's imports may reach.
 *
 * - `roots`: files of its own folders and the packages that Node.js finds for it; of a plugin that is not trusted.
 * - `pinned`: nothing but hookring and zod, the engine's own copies; of a plugin that is named by its hash.
 * - `open`: whatever esbuild resolves; of a plugin that the operator trusts.
 */
type BundleReach = 'roots' | 'pinned' | 'open'

export interface BundleJob {
  /** The plugin's file: a real path, without symbolic links. */
  readonly path: string
  readonly form: BundleForm
  readonly reach: BundleReach
  /** Named in errors. */
  readonly runtime: string
  /** A subresource-integrity value that the file must match. */
  readonly integrity: string | null
  readonly folders: SourceFolders
  /** What guests get in place of hookring's own files; see guest-parts.ts. */
  readonly parts: Readonly<Record<string, string>>
}

/** Where the sources of a plugin may come from: real paths. */
export interface SourceFolders {
  /** The plugin's own. */
  readonly roots: readonly string[]
  /** The `node_modules` folders above them. */
  readonly packages: readonly string[]
}

export interface BundleRefusal {
  readonly ok: false
  readonly code: ErrorCode
  readonly message: string
  /** Of the option to blame. */
  readonly option?: string | undefined
  readonly problems?: readonly BundleProblem[] | undefined
  /** The process has lost its esbuild, and takes no further job. */
  readonly isFatal?: boolean | undefined
}

/** In the shape of esbuild's messages. */
export interface BundleProblem {
  readonly text: string
  readonly location: ProblemLocation | null
}

interface ProblemLocation {
  readonly file: string
  readonly line: number
  readonly column: number
  /** Clipped; empty for files that are not the plugin's own. */
  readonly lineText: string
}

/** What was made, and the plugin's own files that it was made of, packages left out. */
export interface Bundle {
  readonly contents: Uint8Array
  readonly files: readonly string[]
}

/** Bytes follow where it is ok: the bundle. */
export type BundleAnswer = { readonly ok: true; readonly files: readonly string[] } | BundleRefusal

/** More than a plugin has in files of its own; the rest is not watched. */
export const MOST_FILES = 1_000
export const MOST_PATH_CHARS = 512

/** The descriptor on which a bundling process answers. */
export const ANSWER_FD = 3
/** The first frame: it has started. */
export const READY = { ready: true } as const

/** Of all files of a plugin and its packages together. */
export const MAX_SOURCE_BYTES = 32 * 1024 * 1024
const MAX_JSON_BYTES = 1024 * 1024
/** A bundle is smaller than its sources, but for the names that esbuild writes into it and a source map. */
const MAX_BODY_BYTES = 4 * MAX_SOURCE_BYTES
const HEAD_BYTES = 8

export function encodeFrame(said: object, body: Uint8Array): Uint8Array[] {
  const json = Buffer.from(JSON.stringify(said))
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32LE(json.length, 0)
  head.writeUInt32LE(body.length, 4)
  return [head, json, body]
}

export interface AnswerFrame {
  readonly said: unknown
  readonly body: Uint8Array
}

/** Puts frames together from what arrives. */
export class BundlerFrameReader {
  readonly #chunks: Buffer[] = []
  #bytes = 0

  /** @throws Error when what arrived is no frame */
  push(chunk: Buffer): AnswerFrame | null {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes < HEAD_BYTES) return null
    const head = this.#chunks[0] as Buffer
    // Joined once per frame: while it arrives only the head is looked at.
    const start = head.length >= HEAD_BYTES ? head : this.#join()
    const jsonBytes = start.readUInt32LE(0)
    const bodyBytes = start.readUInt32LE(4)
    if (jsonBytes > MAX_JSON_BYTES || bodyBytes > MAX_BODY_BYTES) throw new Error('an answer is too long')
    const end = HEAD_BYTES + jsonBytes + bodyBytes
    if (this.#bytes < end) return null
    const whole = this.#join()
    this.#chunks.length = 0
    this.#bytes = 0
    if (whole.length > end) throw new Error('an answer is followed by something that nobody asked for')
    return {
      said: JSON.parse(whole.toString('utf8', HEAD_BYTES, HEAD_BYTES + jsonBytes)),
      body: whole.subarray(HEAD_BYTES + jsonBytes, end),
    }
  }

  #join(): Buffer {
    const whole = Buffer.concat(this.#chunks)
    this.#chunks.splice(0, this.#chunks.length, whole)
    return whole
  }
}
