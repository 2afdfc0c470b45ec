/**
 * What of a connection's messages is under way at the server: how much, which requests can be given up, and which flushes
 * wait for it. One for a connection; on the host's thread.
 */
import { HookringError } from '../../contracts/index.js'

/** A message that was read and has not settled. */
export interface Begun {
  readonly sequence: number
}

export interface BegunRequest extends Begun {
  readonly id: number
  readonly controller: AbortController
}

interface Barrier {
  readonly sequence: number
  left: number
  pass(): void
}

export class UnderWay {
  #count = 0
  #sequence = 0
  readonly #requests = new Map<number, BegunRequest>()
  #barriers: Barrier[] = []

  /** Messages, flushes included. */
  get count(): number {
    return this.#count
  }

  begin(): Begun {
    this.#count += 1
    this.#sequence += 1
    return { sequence: this.#sequence }
  }

  /** @throws HookringError FRAME_INVALID for an id that is under way already */
  beginRequest(id: number): BegunRequest {
    if (this.#requests.has(id)) throw new HookringError('FRAME_INVALID', `request ${id} is under way already`)
    const request = { ...this.begin(), id, controller: new AbortController() }
    this.#requests.set(id, request)
    return request
  }

  settleRequest(request: BegunRequest): void {
    this.#requests.delete(request.id)
    this.settle(request)
  }

  settle({ sequence }: Begun): void {
    this.#count -= 1
    const passed: Barrier[] = []
    for (const barrier of this.#barriers) {
      if (sequence >= barrier.sequence) continue
      barrier.left -= 1
      if (barrier.left === 0) passed.push(barrier)
    }
    if (passed.length === 0) return
    this.#barriers = this.#barriers.filter(({ left }) => left > 0)
    for (const { pass } of passed) pass()
  }

  /** Resolves when all that began before it has settled. It is under way itself until it is settled. */
  async flush(): Promise<Begun> {
    const left = this.#count
    const mine = this.begin()
    if (left > 0) {
      await new Promise<void>((resolve) => this.#barriers.push({ sequence: mine.sequence, left, pass: resolve }))
    }
    return mine
  }

  /** A request that nobody waits for any more. */
  cancel(id: number): void {
    this.#requests.get(id)?.controller.abort()
  }

  cancelAll(): void {
    for (const { controller } of this.#requests.values()) controller.abort()
  }
}
