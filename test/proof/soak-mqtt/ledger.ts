/** The account of every message: what was published, acknowledged and received. Pure. */

export interface Figures {
  readonly published: number
  readonly acknowledged: { readonly qos1: number; readonly qos2: number }
  /** Acknowledged messages, once for each subscriber. */
  readonly expected: number
  readonly arrived: number
  /** Acknowledged, and a subscriber never got it. */
  readonly lost: number
  /** QoS 1 promises no more than once at least. */
  readonly repeatedQos1: number
  /** While no node died. */
  readonly repeatedQos2: number
  /** A node was killed between their publishing and their coming again. */
  readonly repeatedQos2AfterDeath: number
  /** First arrivals behind a later one of the same publisher and QoS. */
  readonly outOfOrder: number
}

/** Which message: `publisher`, `qos` and `number` are its payload. */
export interface Message {
  readonly publisher: string
  readonly qos: 1 | 2
  readonly number: number
}

interface Published extends Message {
  readonly atMs: number
  isAcknowledged: boolean
}

const nameOf = ({ publisher, qos, number }: Message) => `${publisher} ${qos} ${number}`

export function readMessage(text: string): Message | null {
  const [, publisher, qos, number] = /^(\S+) ([12]) (\d+)$/.exec(text) ?? []
  return publisher === undefined ? null : { publisher, qos: Number(qos) as 1 | 2, number: Number(number) }
}

export class Ledger {
  readonly #published = new Map<string, Published>()
  readonly #arrivals = new Map<string, Map<string, number>>()
  readonly #highest = new Map<string, number>()
  readonly #deathsMs: number[] = []
  readonly #amiss: string[] = []
  #outOfOrder = 0
  #repeatedQos1 = 0
  #repeatedQos2 = 0
  #repeatedQos2AfterDeath = 0

  constructor(subscribers: readonly string[]) {
    for (const subscriber of subscribers) this.#arrivals.set(subscriber, new Map())
  }

  /** The text to publish. */
  publish(message: Message, atMs: number): string {
    const name = nameOf(message)
    this.#published.set(name, { ...message, atMs, isAcknowledged: false })
    return name
  }

  acknowledge(text: string): void {
    const published = this.#published.get(text)
    if (published !== undefined) published.isAcknowledged = true
  }

  died(atMs: number): void {
    this.#deathsMs.push(atMs)
  }

  arrive(subscriber: string, text: string, atMs: number): void {
    const published = this.#published.get(text)
    const arrivals = this.#arrivals.get(subscriber)
    if (published === undefined || arrivals === undefined) return
    const count = (arrivals.get(text) ?? 0) + 1
    arrivals.set(text, count)
    if (count > 1) this.#repeat(subscriber, published, atMs)
    else this.#follow(subscriber, published)
  }

  /** Whether every subscriber has everything that was acknowledged. */
  get isComplete(): boolean {
    return this.missing(1).length === 0
  }

  /** `SUBSCRIBER: MESSAGE`, of what was acknowledged and has not come. */
  missing(most: number): string[] {
    const missing: string[] = []
    for (const [subscriber, arrivals] of this.#arrivals) {
      for (const [name, { isAcknowledged }] of this.#published) {
        if (!isAcknowledged || arrivals.has(name)) continue
        missing.push(`${subscriber}: ${name}`)
        if (missing.length === most) return missing
      }
    }
    return missing
  }

  /** What came again or in the wrong place, the first few. */
  get amiss(): readonly string[] {
    return this.#amiss
  }

  figures(): Figures {
    const acknowledged = [...this.#published.values()].filter(({ isAcknowledged }) => isAcknowledged)
    const expected = acknowledged.length * this.#arrivals.size
    const lost = this.missing(Number.POSITIVE_INFINITY).length
    return {
      published: this.#published.size,
      acknowledged: {
        qos1: acknowledged.filter(({ qos }) => qos === 1).length,
        qos2: acknowledged.filter(({ qos }) => qos === 2).length,
      },
      expected,
      arrived: expected - lost,
      lost,
      repeatedQos1: this.#repeatedQos1,
      repeatedQos2: this.#repeatedQos2,
      repeatedQos2AfterDeath: this.#repeatedQos2AfterDeath,
      outOfOrder: this.#outOfOrder,
    }
  }

  #repeat(subscriber: string, published: Published, atMs: number): void {
    if (published.qos === 1) {
      this.#repeatedQos1 += 1
      return
    }
    const isExcused = this.#deathsMs.some((deathMs) => deathMs >= published.atMs && deathMs <= atMs)
    if (isExcused) this.#repeatedQos2AfterDeath += 1
    else this.#repeatedQos2 += 1
    this.#note(`${subscriber}: ${nameOf(published)} came again${isExcused ? ', after a death' : ''}`)
  }

  #follow(subscriber: string, { publisher, qos, number }: Published): void {
    const line = `${subscriber} ${publisher} ${qos}`
    const highest = this.#highest.get(line) ?? -1
    if (number > highest) {
      this.#highest.set(line, number)
      return
    }
    this.#outOfOrder += 1
    this.#note(`${subscriber}: ${publisher} ${qos} ${number} came behind ${highest}`)
  }

  #note(text: string): void {
    if (this.#amiss.length < 20) this.#amiss.push(text)
  }
}

export function isClean({ lost, repeatedQos2, outOfOrder }: Figures): boolean {
  return lost === 0 && repeatedQos2 === 0 && outOfOrder === 0
}
