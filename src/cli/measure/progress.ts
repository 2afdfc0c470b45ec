/**
 * What a long run says meanwhile: one line on stderr, rewritten in place, and only when stderr is a terminal.
 */
export interface Progress {
  /** Announces so many more steps. */
  expect(steps: number): void
  step(what: string): void
  done(): void
}

export function createProgress(title: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  let expected = 0
  let taken = 0
  const isTerminal = stream.isTTY === true
  return {
    expect(steps) {
      expected += steps
    },
    step(what) {
      taken++
      if (!isTerminal) return
      const share = expected === 0 ? '' : ` ${Math.min(100, Math.round((taken / expected) * 100))} %`
      stream.write(`\r\u001b[K${`${title}${share}  ${what}`.slice(0, (stream.columns ?? 80) - 1)}`)
    },
    done() {
      if (isTerminal) stream.write('\r\u001b[K')
    },
  }
}
