/** Reads the bytes of a WebAssembly module in order, never past their end, and makes nothing by a number that stands there. */

/** What the module has that it must not, or lacks. */
export class WasmRefusal extends Error {
  override readonly name: string = 'WasmRefusal'
}

export class Cursor {
  readonly bytes: Uint8Array
  at: number
  readonly end: number
  readonly #what: string

  constructor(bytes: Uint8Array, start: number, end: number, what: string) {
    this.bytes = bytes
    this.at = start
    this.end = end
    this.#what = what
  }

  get left(): number {
    return this.end - this.at
  }

  byte(): number {
    if (this.at >= this.end) this.#endsEarly()
    const byte = this.bytes[this.at] as number
    this.at += 1
    return byte
  }

  /** LEB128, unsigned, of 32 bits. */
  u32(): number {
    const first = this.byte()
    if (first < 128) return first
    let value = first & 127
    for (let scale = 128; scale < 2 ** 35; scale *= 128) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (value >= 2 ** 32) break
      if (byte < 128) return value
    }
    throw new WasmRefusal(`${this.#what} holds a number that is no u32, before byte ${this.at}`)
  }

  /** Passes over a LEB128 of at most so many bytes, and says what its first byte was. */
  leb(most: number): number {
    const first = this.byte()
    let byte = first
    for (let count = 1; byte >= 128; count += 1) {
      if (count === most)
        throw new WasmRefusal(`${this.#what} holds a number that does not end, before byte ${this.at}`)
      byte = this.byte()
    }
    return first
  }

  /** The number of elements that follow, each of which takes a byte at least. */
  count(): number {
    const count = this.u32()
    if (count > this.left) this.#endsEarly()
    return count
  }

  /** A text, of which no more than so many bytes are made one. */
  name(mostBytes: number): string {
    const length = this.u32()
    const start = this.at
    this.skip(length)
    const { buffer, byteOffset } = this.bytes
    const text = Buffer.from(buffer, byteOffset + start, Math.min(length, mostBytes)).toString('utf8')
    return length > mostBytes ? `${text}…` : text
  }

  skip(bytes: number): void {
    if (bytes > this.left) this.#endsEarly()
    this.at += bytes
  }

  /** The next bytes, to be read by themselves. */
  part(bytes: number, what: string): Cursor {
    if (bytes > this.left) throw new WasmRefusal(`${what} ends too early: the file is cut off at byte ${this.end}`)
    this.at += bytes
    return new Cursor(this.bytes, this.at - bytes, this.at, what)
  }

  /** @throws WasmRefusal unless all has been read. */
  done(): void {
    if (this.at !== this.end) throw new WasmRefusal(`${this.#what} holds more than it says, from byte ${this.at}`)
  }

  #endsEarly(): never {
    throw new WasmRefusal(`${this.#what} ends too early, at byte ${this.end}`)
  }
}
