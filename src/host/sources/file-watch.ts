/**
 * Watches files of plugins for changes, in development: by their folders, since editors put new files in the place of old
 * ones. What counts is what the file system says of a file, not how often it speaks. The server's thread only.
 */
import { type FSWatcher, type Stats, statSync, watch } from 'node:fs'
import { dirname } from 'node:path'
import { HookringError } from '../../contracts/errors.js'

/** More than a plugin's own sources have; the system's watchers are scarce. */
const MOST_FOLDERS = 1_000
/** Somebody who writes all the time does not keep the others waiting for ever: so many pauses at most. */
const MOST_PAUSES = 20
/** File systems tell the time by a clock that lags behind. */
const COARSE_MS = 10
/** A folder that was removed is looked for again after this long. */
const LOOK_AGAIN_MS = 500

export interface FileWatchOptions {
  /** Changes that follow each other sooner are told together, in milliseconds. */
  readonly debounceMs: number
  /** Something has changed in the folders: these files, or, where there are none, others beside them. */
  onChange(files: readonly string[]): void
  onError(error: HookringError): void
}

interface Folder {
  /** Null: there is no such folder at the moment. */
  watcher: FSWatcher | null
  isTouched: boolean
  readonly files: Map<string, string>
}

export class FileWatch {
  readonly #options: FileWatchOptions
  readonly #folders = new Map<string, Folder>()
  #pause: NodeJS.Timeout | undefined
  #pauses = 0
  #isFull = false
  #isClosed = false

  constructor(options: FileWatchOptions) {
    this.#options = options
  }

  /** @param readMs when it was read or later (Unix ms): if it has changed since, that is told too */
  add(file: string, readMs: number): void {
    const path = dirname(file)
    const folder = this.#folders.get(path) ?? this.#open(path)
    if (folder === null || folder.files.has(file)) return
    const found = statOf(file)
    const isLater = found !== undefined && found.mtimeMs > readMs - COARSE_MS
    folder.files.set(file, isLater ? '' : stateOf(found))
    if (isLater) this.#touch(folder)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#pause)
    for (const { watcher } of this.#folders.values()) watcher?.close()
    this.#folders.clear()
  }

  #open(path: string): Folder | null {
    if (this.#isClosed || this.#isFull) return null
    if (this.#folders.size >= MOST_FOLDERS) {
      this.#isFull = true
      this.#options.onError(
        new HookringError('WATCH_FAILED', `more than ${MOST_FOLDERS} folders: changes in others are not seen`),
      )
      return null
    }
    const folder: Folder = { watcher: null, isTouched: false, files: new Map() }
    this.#folders.set(path, folder)
    this.#watch(path, folder)
    return folder
  }

  #watch(path: string, folder: Folder): void {
    const before = folder.watcher
    folder.watcher = null
    if (statOf(path) === undefined) this.#touch(folder, LOOK_AGAIN_MS)
    else folder.watcher = this.#watcherOf(path, folder)
    before?.close()
  }

  #watcherOf(path: string, folder: Folder): FSWatcher | null {
    try {
      const watcher = watch(path, { persistent: false }, () => this.#touch(folder))
      return watcher.on('error', (error) => this.#failed(path, error))
    } catch (error) {
      this.#failed(path, error as Error)
      return null
    }
  }

  #touch(folder: Folder, pauseMs: number = this.#options.debounceMs): void {
    folder.isTouched = true
    if (this.#isClosed || this.#pauses >= MOST_PAUSES) return
    this.#pauses += 1
    clearTimeout(this.#pause)
    this.#pause = setTimeout(() => this.#look(), pauseMs)
    this.#pause.unref()
  }

  #look(): void {
    this.#pauses = 0
    const changed: string[] = []
    let isTold = false
    for (const [path, folder] of this.#folders) {
      if (!folder.isTouched) continue
      folder.isTouched = false
      // Another folder may have come in its place, of the same name and number: the old watcher would not tell of that one.
      this.#watch(path, folder)
      // Files of a folder that is being replaced come with it.
      if (folder.watcher === null) continue
      isTold = true
      for (const [file, before] of folder.files) {
        const now = stateOf(statOf(file))
        if (now === before) continue
        folder.files.set(file, now)
        changed.push(file)
      }
    }
    if (isTold) this.#options.onChange(changed)
  }

  #failed(path: string, cause: Error): void {
    const message = `${path} cannot be watched, its changes are not seen: ${cause.message}`
    this.#options.onError(new HookringError('WATCH_FAILED', message, { cause }))
  }
}

function stateOf(found: Stats | undefined): string {
  return found === undefined ? 'missing' : `${found.ino} ${found.size} ${found.mtimeMs}`
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false })
}
