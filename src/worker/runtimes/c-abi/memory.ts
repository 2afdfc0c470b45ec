/**
 * The memory that structs are written to, and the event's bytes that they are written from. Both are kept from call to
 * call, so that a call makes no objects. The lane's thread only.
 */
import type { EventBytes } from '../runtime.js'
import type { CModel } from './layout.js'

/** Memory of the host's within the plugin's reach. Its first byte has an address that is a multiple of 16. */
export interface CMemory {
  readonly u8: Uint8Array
  readonly view: DataView
  /** Of the first byte, as functions take it. */
  readonly address: CValue
  /** The same in two words. */
  readonly addressLow: number
  readonly addressHigh: number
}

/** An argument or a result: bigints for addresses that may be wider than numbers are exact. */
export type CValue = number | bigint

/** The event's bytes, with a view that is made anew only when they are in other memory than the last one's. */
export interface Source {
  readonly u8: Uint8Array
  readonly view: DataView
  /** Of the event. */
  readonly base: number
  open(event: EventBytes): void
}

export function createSource(): Source {
  let u8 = new Uint8Array(0) as Uint8Array
  let view: DataView = new DataView(u8.buffer)
  let base = 0
  return {
    get u8() {
      return u8
    },
    get view() {
      return view
    },
    get base() {
      return base
    },
    open(event) {
      base = event.at
      if (event.u8 === u8) return
      u8 = event.u8
      view = new DataView(u8.buffer, u8.byteOffset, u8.byteLength)
    },
  }
}

/** The memory that is written to, and where its free part begins. */
export interface Target {
  readonly view: DataView
  open(memory: CMemory, free: number): void
  /** The address of the next byte that is appended. */
  writeAddress(at: number): void
  writeSize(at: number, size: number): void
  append(from: Uint8Array, at: number, length: number): void
  /** A null character. */
  terminate(): void
}

const WORD = 2 ** 32

export function createTarget({ pointerBytes }: CModel): Target {
  const nothing: DataView = new DataView(new ArrayBuffer(0))
  const isWide = pointerBytes === 8
  let memory: CMemory = { u8: new Uint8Array(0), view: nothing, address: 0, addressLow: 0, addressHigh: 0 }
  let view = nothing
  let free = 0
  return {
    get view() {
      return view
    },
    open(opened, start) {
      memory = opened
      view = opened.view
      free = start
    },
    writeAddress(at) {
      const low = memory.addressLow + free
      view.setUint32(at, low, true)
      if (isWide) view.setUint32(at + 4, memory.addressHigh + (low >= WORD ? 1 : 0), true)
    },
    writeSize(at, size) {
      if (isWide) {
        view.setUint32(at, size % WORD, true)
        view.setUint32(at + 4, size / WORD, true)
      } else {
        // More than a size of this machine can say: the largest, so that a limit still sees that it is passed.
        view.setUint32(at, size < WORD ? size : WORD - 1, true)
      }
    },
    append(from, at, length) {
      const { u8 } = memory
      if (length <= 64) for (let i = 0; i < length; i++) u8[free + i] = from[at + i] as number
      else u8.set(from.subarray(at, at + length), free)
      free += length
    },
    terminate() {
      memory.u8[free] = 0
      free += 1
    },
  }
}
