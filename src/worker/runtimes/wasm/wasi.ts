/**
 * As much of WASI (snapshot preview 1) as compilers' default targets need to start: lines of text go to the log, there are
 * clocks and random bytes, and everything that would reach out of the module answers that it may not. No files, no
 * environment, no arguments, no sockets. The lane's thread only.
 */
import { randomFillSync } from 'node:crypto'
import { monotonicMs } from '../../../ring/clock.js'
import type { WasmMemory } from './api.js'

export const WASI_MODULE = 'wasi_snapshot_preview1'

/** Thrown through the module's code by `proc_exit`. */
export class WasiExit extends Error {
  readonly code: number

  constructor(code: number) {
    super(`it called proc_exit(${code})`)
    this.name = 'WasiExit'
    this.code = code
  }
}

export interface WasiHost {
  /** Null before the module has its exports. */
  memory(): WasmMemory | null
  /** A whole line, of descriptor 1 or 2. */
  print(descriptor: 1 | 2, line: string): void
}

/** Codes of errors. */
const SUCCESS = 0
const BAD_DESCRIPTOR = 8
const FAULT = 21
const INVALID = 28
const NOT_SUPPORTED = 58
const NOT_A_SEEKABLE = 70
const NOT_CAPABLE = 76

const CHARACTER_DEVICE = 2
const RIGHT_TO_WRITE = 0x40n
/** One call's worth: longer texts are written in several calls. */
const MAX_WRITE_BYTES = 64 * 1024
const MAX_VECTORS = 1024
/** Node.js fills no more at once. */
const MAX_RANDOM_BYTES = 64 * 1024
const MAX_LINE_CHARS = 8192
const NS_PER_MS = 1_000_000

/** Types of the functions that are there, as modules import them. */
export const WASI_TYPES: Readonly<Record<string, string>> = {
  args_get: '(i32, i32) -> (i32)',
  args_sizes_get: '(i32, i32) -> (i32)',
  environ_get: '(i32, i32) -> (i32)',
  environ_sizes_get: '(i32, i32) -> (i32)',
  clock_res_get: '(i32, i32) -> (i32)',
  clock_time_get: '(i32, i64, i32) -> (i32)',
  fd_advise: '(i32, i64, i64, i32) -> (i32)',
  fd_allocate: '(i32, i64, i64) -> (i32)',
  fd_close: '(i32) -> (i32)',
  fd_datasync: '(i32) -> (i32)',
  fd_fdstat_get: '(i32, i32) -> (i32)',
  fd_fdstat_set_flags: '(i32, i32) -> (i32)',
  fd_fdstat_set_rights: '(i32, i64, i64) -> (i32)',
  fd_filestat_get: '(i32, i32) -> (i32)',
  fd_filestat_set_size: '(i32, i64) -> (i32)',
  fd_filestat_set_times: '(i32, i64, i64, i32) -> (i32)',
  fd_pread: '(i32, i32, i32, i64, i32) -> (i32)',
  fd_prestat_get: '(i32, i32) -> (i32)',
  fd_prestat_dir_name: '(i32, i32, i32) -> (i32)',
  fd_pwrite: '(i32, i32, i32, i64, i32) -> (i32)',
  fd_read: '(i32, i32, i32, i32) -> (i32)',
  fd_readdir: '(i32, i32, i32, i64, i32) -> (i32)',
  fd_renumber: '(i32, i32) -> (i32)',
  fd_seek: '(i32, i64, i32, i32) -> (i32)',
  fd_sync: '(i32) -> (i32)',
  fd_tell: '(i32, i32) -> (i32)',
  fd_write: '(i32, i32, i32, i32) -> (i32)',
  path_create_directory: '(i32, i32, i32) -> (i32)',
  path_filestat_get: '(i32, i32, i32, i32, i32) -> (i32)',
  path_filestat_set_times: '(i32, i32, i32, i32, i64, i64, i32) -> (i32)',
  path_link: '(i32, i32, i32, i32, i32, i32, i32) -> (i32)',
  path_open: '(i32, i32, i32, i32, i32, i64, i64, i32, i32) -> (i32)',
  path_readlink: '(i32, i32, i32, i32, i32, i32) -> (i32)',
  path_remove_directory: '(i32, i32, i32) -> (i32)',
  path_rename: '(i32, i32, i32, i32, i32, i32) -> (i32)',
  path_symlink: '(i32, i32, i32, i32, i32) -> (i32)',
  path_unlink_file: '(i32, i32, i32) -> (i32)',
  poll_oneoff: '(i32, i32, i32, i32) -> (i32)',
  proc_exit: '(i32) -> ()',
  proc_raise: '(i32) -> (i32)',
  random_get: '(i32, i32) -> (i32)',
  sched_yield: '() -> (i32)',
  sock_accept: '(i32, i32, i32) -> (i32)',
  sock_recv: '(i32, i32, i32, i32, i32, i32) -> (i32)',
  sock_send: '(i32, i32, i32, i32, i32) -> (i32)',
  sock_shutdown: '(i32, i32) -> (i32)',
}

type WasiFunction = (...values: never[]) => number

/** The functions of one instance. */
export function wasiFunctions(host: WasiHost): Readonly<Record<string, WasiFunction>> {
  const wasi = new Wasi(host)
  const refused = Object.fromEntries(Object.keys(WASI_TYPES).map((name) => [name, () => NOT_CAPABLE]))
  return {
    ...refused,
    args_get: () => SUCCESS,
    environ_get: () => SUCCESS,
    args_sizes_get: (count: number, bytes: number) => wasi.noStrings(count, bytes),
    environ_sizes_get: (count: number, bytes: number) => wasi.noStrings(count, bytes),
    clock_res_get: (clock: number, at: number) => wasi.clockResolution(clock, at),
    clock_time_get: (clock: number, _precision: bigint, at: number) => wasi.clockTime(clock, at),
    fd_close: (fd: number) => (isOutput(fd) || fd === 0 ? SUCCESS : BAD_DESCRIPTOR),
    fd_fdstat_get: (fd: number, at: number) => wasi.status(fd, at),
    fd_fdstat_set_flags: (fd: number) => (isOutput(fd) ? SUCCESS : BAD_DESCRIPTOR),
    // There are no folders: the C library stops asking for them at the first that is none.
    fd_prestat_get: () => BAD_DESCRIPTOR,
    fd_prestat_dir_name: () => BAD_DESCRIPTOR,
    fd_read: (fd: number, _vectors: number, _count: number, at: number) => wasi.readNothing(fd, at),
    fd_seek: (fd: number) => (isOutput(fd) || fd === 0 ? NOT_A_SEEKABLE : BAD_DESCRIPTOR),
    fd_write: (fd: number, vectors: number, count: number, at: number) => wasi.write(fd, vectors, count, at),
    poll_oneoff: () => NOT_SUPPORTED,
    proc_exit: (code: number) => {
      throw new WasiExit(code)
    },
    random_get: (at: number, bytes: number) => wasi.random(at, bytes),
    sched_yield: () => SUCCESS,
  }
}

function isOutput(fd: number): fd is 1 | 2 {
  return fd === 1 || fd === 2
}

class Wasi {
  readonly #host: WasiHost
  /** The beginning of a line, by descriptor. */
  readonly #begun = { 1: '', 2: '' }

  constructor(host: WasiHost) {
    this.#host = host
  }

  noStrings(count: number, bytes: number): number {
    const view = this.#view()
    if (!fits(view, count, 4) || !fits(view, bytes, 4)) return FAULT
    view.setUint32(count >>> 0, 0, true)
    view.setUint32(bytes >>> 0, 0, true)
    return SUCCESS
  }

  clockResolution(clock: number, at: number): number {
    const view = this.#view()
    if (clock !== 0 && clock !== 1) return INVALID
    if (!fits(view, at, 8)) return FAULT
    view.setBigUint64(at >>> 0, BigInt(NS_PER_MS), true)
    return SUCCESS
  }

  clockTime(clock: number, at: number): number {
    const view = this.#view()
    if (clock !== 0 && clock !== 1) return INVALID
    if (!fits(view, at, 8)) return FAULT
    const ms = clock === 0 ? Date.now() : Math.floor(monotonicMs())
    view.setBigUint64(at >>> 0, BigInt(ms) * BigInt(NS_PER_MS), true)
    return SUCCESS
  }

  /** Type, flags, and the rights to it and to what is opened from it. */
  status(fd: number, at: number): number {
    if (!isOutput(fd) && fd !== 0) return BAD_DESCRIPTOR
    const view = this.#view()
    if (!fits(view, at, 24)) return FAULT
    const start = at >>> 0
    new Uint8Array(view.buffer, view.byteOffset + start, 24).fill(0)
    view.setUint8(start, CHARACTER_DEVICE)
    view.setBigUint64(start + 8, isOutput(fd) ? RIGHT_TO_WRITE : 0n, true)
    return SUCCESS
  }

  readNothing(fd: number, at: number): number {
    const view = this.#view()
    if (fd !== 0) return BAD_DESCRIPTOR
    if (!fits(view, at, 4)) return FAULT
    view.setUint32(at >>> 0, 0, true)
    return SUCCESS
  }

  write(fd: number, vectors: number, count: number, at: number): number {
    if (!isOutput(fd)) return BAD_DESCRIPTOR
    const view = this.#view()
    if (count < 0 || count > MAX_VECTORS) return INVALID
    if (!fits(view, vectors, 8 * count) || !fits(view, at, 4)) return FAULT
    let written = 0
    for (let index = 0; index < count && written < MAX_WRITE_BYTES; index += 1) {
      const start = view.getUint32((vectors >>> 0) + 8 * index, true)
      const length = view.getUint32((vectors >>> 0) + 8 * index + 4, true)
      if (!fits(view, start, length)) return FAULT
      const taken = Math.min(length, MAX_WRITE_BYTES - written)
      this.#print(fd, Buffer.from(view.buffer, view.byteOffset + start, taken).toString('utf8'))
      written += taken
    }
    view.setUint32(at >>> 0, written, true)
    return SUCCESS
  }

  random(at: number, bytes: number): number {
    const view = this.#view()
    const length = bytes >>> 0
    if (!fits(view, at, length)) return FAULT
    for (let done = 0; done < length; done += MAX_RANDOM_BYTES) {
      const most = Math.min(MAX_RANDOM_BYTES, length - done)
      randomFillSync(new Uint8Array(view.buffer, view.byteOffset + (at >>> 0) + done, most))
    }
    return SUCCESS
  }

  /** In whole lines; one that does not end is cut where it is too long for the log. */
  #print(fd: 1 | 2, text: string): void {
    const lines = `${this.#begun[fd]}${text}`.split('\n')
    const begun = lines.pop() as string
    this.#begun[fd] = begun.length < MAX_LINE_CHARS ? begun : ''
    if (begun.length >= MAX_LINE_CHARS) lines.push(begun)
    for (const line of lines) if (line !== '') this.#host.print(fd, line.slice(0, MAX_LINE_CHARS))
  }

  #view(): DataView {
    const memory = this.#host.memory()
    // A start function has no memory that the host knows of: everything is outside of it.
    return memory === null ? EMPTY : new DataView(memory.buffer)
  }
}

const EMPTY = new DataView(new ArrayBuffer(0))

function fits(view: DataView, at: number, bytes: number): boolean {
  return (at >>> 0) + bytes <= view.byteLength
}
