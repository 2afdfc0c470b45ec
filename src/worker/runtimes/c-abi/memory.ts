/**
 * The memory to which structs are written, and the encoded event from which they are written. Writer and reader are used again
 * for every call, so that a call allocates nothing. The lane's thread only.
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

/** The bytes of an event. The view is made again only if they are in other memory than those of the event before. */
export class EncodedEvent {
  u8: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(this.u8.buffer)
  /** Of the event. */
  base = 0

  open(event: EventBytes): void {
    const { u8 } = event
    this.base = event.at
    if (u8 === this.u8) return
    this.u8 = u8
    this.view = new DataView(u8.buffer, u8.byteOffset, u8.byteLength)
  }
}

const WORD = 2 ** 32

const NOWHERE: CMemory = {
  u8: new Uint8Array(0),
  view: new DataView(new ArrayBuffer(0)),
  address: 0,
  addressLow: 0,
  addressHigh: 0,
}

/** The memory to which structs are written, and where its free part begins. */
export class StructMemory {
  view: DataView = NOWHERE.view
  readonly #isWide: boolean
  #memory = NOWHERE
  #free = 0

  constructor({ pointerBytes }: CModel) {
    this.#isWide = pointerBytes === 8
  }

  open(memory: CMemory, free: number): void {
    this.#memory = memory
    this.view = memory.view
    this.#free = free
  }

  /** Lets go of the memory, which would be kept beside that of the plugin's next instance. */
  close(): void {
    this.#memory = NOWHERE
    this.view = NOWHERE.view
  }

  /** Writes the address of the next byte that is appended. */
  writeAddress(at: number): void {
    const low = this.#memory.addressLow + this.#free
    this.view.setUint32(at, low, true)
    if (this.#isWide) this.view.setUint32(at + 4, this.#memory.addressHigh + (low >= WORD ? 1 : 0), true)
  }

  writeSize(at: number, size: number): void {
    if (this.#isWide) {
      this.view.setUint32(at, size % WORD, true)
      this.view.setUint32(at + 4, size / WORD, true)
    } else {
      // More than a size of this machine can say: the largest, so that a limit still sees that it is passed.
      this.view.setUint32(at, size < WORD ? size : WORD - 1, true)
    }
  }

  append(from: Uint8Array, at: number, length: number): void {
    const { u8 } = this.#memory
    const free = this.#free
    if (length <= 64) for (let i = 0; i < length; i++) u8[free + i] = from[at + i] as number
    else u8.set(from.subarray(at, at + length), free)
    this.#free = free + length
  }

  /** A null character. */
  terminate(): void {
    this.#memory.u8[this.#free] = 0
    this.#free += 1
  }
}
