/**
 * Tells whether the plugins of this thread may have something going on between calls that needs an event loop: a timer, a
 * server, a watcher, a request, whether it is ref'd or not. Whatever can call back later takes an async id when it is made,
 * so ids that nobody here has taken are a plugin's. A lane's thread, or its child process.
 *
 * Node.js lists only what is ref'd (`process.getActiveResourcesInfo`), which is why that is no answer.
 */
import { AsyncResource, createHook } from 'node:async_hooks'
import { noticeV8Work } from './v8-work.js'

/** What importing and running code makes of itself, and what ends with the turn of the event loop that it belongs to. */
const PASSING: ReadonlySet<string> = new Set([
  'PROMISE',
  'TickObject',
  'Microtask',
  'FSREQCALLBACK',
  'FSREQPROMISE',
  'FILEHANDLE',
  'FILEHANDLECLOSEREQ',
])

/** Once anything follows them, as an AsyncLocalStorage does. */
const PROMISES_TAKE_IDS = Number.parseInt(process.versions.node, 10) < 24

export class BackgroundWatch {
  readonly #hook = createHook({ init: (_id, type) => this.#made(type) })
  #hasBackground = false
  /** Before that no plugin's code has run, and what has taken ids is Node.js and this package. */
  #hasBegun = false
  #isOwn = false
  #isHooked = false
  /** The id taken last. */
  #lastId = 0
  /** Ids taken since then by this thread's own turns. */
  #ownIds = 0

  /**
   * Before plugins are imported.
   *
   * @param own the lane's memory, where V8's work for plugins is to be noticed too; left out: it is not
   */
  begin(own?: SharedArrayBuffer): void {
    if (own !== undefined) noticeV8Work(() => this.#notice(), own)
    this.#hasBegun = true
    this.#isHooked = true
    this.#hook.enable()
  }

  /**
   * When they are set up, and a turn of the event loop is over. From here on counting ids is enough.
   *
   * @param areMany several plugins are told apart by an AsyncLocalStorage: before Node.js 24 each promise takes an id then
   */
  async loaded({ areMany }: { areMany: boolean }): Promise<void> {
    if (process.getActiveResourcesInfo().some((type) => type.startsWith('FSReq'))) this.#hasBackground = true
    this.#isHooked = areMany && PROMISES_TAKE_IDS && !this.#hasBackground
    if (!this.#isHooked) {
      this.#hook.disable()
      // Until then promises go on to take ids. Whatever could run meanwhile has been noticed.
      await this.turn()
    }
    this.#lastId = nextId()
    this.#ownIds = 0
  }

  /** A turn of the event loop, for which this thread itself asks. */
  turn(): Promise<void> {
    this.#ownIds += 1
    this.#isOwn = true
    const turn = new Promise<void>((resolve) => setImmediate(resolve))
    this.#isOwn = false
    return turn
  }

  /** What is known without looking. Once it is true it stays so: what was made may call back at any time. */
  get hasBackground(): boolean {
    return this.#hasBackground
  }

  /** The same, having looked. Takes some hundred nanoseconds: for who is about to sleep. */
  needsLoop(): boolean {
    if (this.#hasBackground) return true
    if (this.#isHooked || !this.#hasBegun) return false
    const id = nextId()
    this.#hasBackground = id - this.#lastId - 1 > this.#ownIds
    this.#lastId = id
    this.#ownIds = 0
    return this.#hasBackground
  }

  #made(type: string): void {
    if (this.#isOwn || PASSING.has(type) || (type === 'MESSAGEPORT' && isOfAnImport())) return
    this.#notice()
  }

  #notice(): void {
    this.#hasBackground = true
    this.#hook.disable()
  }
}

/** Where module hooks have a thread of their own, each import asks it over a port that is gone when it is over. */
function isOfAnImport(): boolean {
  return String(new Error().stack).includes('HooksProxy.makeAsyncRequest')
}

function nextId(): number {
  return new AsyncResource('hookring', { requireManualDestroy: true }).asyncId()
}
