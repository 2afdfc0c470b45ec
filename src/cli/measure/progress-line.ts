/** The progress of a long run: one line on stderr, rewritten in place. Only if stderr is a terminal. */
export class ProgressLine {
  readonly #title: string
  readonly #stream: NodeJS.WriteStream
  #expected = 0
  #taken = 0

  constructor(title: string, stream: NodeJS.WriteStream = process.stderr) {
    this.#title = title
    this.#stream = stream
  }

  /** Announces this many more steps. */
  expect(steps: number): void {
    this.#expected += steps
  }

  step(what: string): void {
    this.#taken += 1
    const { isTTY, columns = 80 } = this.#stream
    if (!isTTY) return
    const percent = Math.min(100, Math.round((this.#taken / this.#expected) * 100))
    const share = this.#expected === 0 ? '' : ` ${percent} %`
    this.#stream.write(`\r\u001b[K${`${this.#title}${share}  ${what}`.slice(0, columns - 1)}`)
  }

  /** Clears the line. */
  done(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001b[K')
  }
}
