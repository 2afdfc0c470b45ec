/** Threads of lanes without threads: what each is asked for it does at once, or when the test says so. */
import type { LaneSpec, LoadResult, Manifest } from '../../dist/contracts/control.js'
import type { LaneLoss } from '../../dist/contracts/process.js'
import type { LaneThread } from '../../dist/host/lanes/lane-threads.js'
import { LATE, within } from '../../dist/primitives/within.js'

/** What a thread does that is no plain success. `asked`: it waits for the test. */
export interface Conduct {
  readonly boot?: 'asked' | Error
  readonly load?: 'asked' | LoadResult | Error
  readonly stop?: 'asked'
  readonly exit?: 'asked'
}

export interface Deferred<Value> {
  readonly promise: Promise<Value>
  resolve(value: Value): void
  reject(error: Error): void
}

export function deferred<Value = void>(): Deferred<Value> {
  let resolve: Deferred<Value>['resolve'] = () => {}
  let reject: Deferred<Value>['reject'] = () => {}
  const promise = new Promise<Value>((...settle) => {
    ;[resolve, reject] = settle
  })
  return { promise, resolve, reject }
}

export function manifest(name: string, hooks: readonly string[]): Manifest {
  return { name, contract: { name: 'test', version: 1 }, hooks: [...hooks] }
}

export class ThreadStandIn implements LaneThread {
  /** What it was asked for, in order. */
  readonly asked: string[] = []
  readonly isReplacement: boolean
  readonly booted = deferred()
  readonly loaded = deferred<LoadResult>()
  readonly stopped = deferred()
  spec: LaneSpec | null = null
  hasExited = false
  readonly link: LaneThread['link']
  readonly ended: Promise<Error | null>
  readonly gone: Promise<void>
  readonly #end = deferred<Error | null>()
  readonly #exit = deferred()
  readonly #exitsWhenAsked: boolean
  readonly #succeedsWhenAsked: boolean
  #tellLost: (loss: LaneLoss) => void = () => {}

  constructor({ boot, load, stop, exit }: Conduct, isReplacement: boolean) {
    this.isReplacement = isReplacement
    this.ended = this.#end.promise
    this.gone = this.#exit.promise
    this.#exitsWhenAsked = exit !== 'asked'
    this.#succeedsWhenAsked = load === undefined
    if (boot instanceof Error) this.booted.reject(boot)
    else if (boot === undefined) this.booted.resolve()
    if (load instanceof Error) this.loaded.reject(load)
    else if (load !== undefined && load !== 'asked') this.loaded.resolve(load)
    if (stop === undefined) this.stopped.resolve()
    // A test that never loads it does not hear of its failure either.
    this.loaded.promise.catch(() => {})
    this.link = this.#makeLink()
  }

  async terminate(graceMs: number): Promise<boolean> {
    this.asked.push('terminate')
    this.#end.resolve(null)
    if (this.#exitsWhenAsked) this.exit()
    return (await within(this.gone, graceMs)) !== LATE
  }

  /** Its plugins have been loaded: they hook what their config names as `hooks`, or every hookpoint. */
  succeed(): void {
    const { plugins, hookpoints } = this.spec as LaneSpec
    const all = hookpoints.map(({ name }) => name)
    const manifests = plugins.map(({ name, config }) =>
      manifest(name, (config as { hooks?: readonly string[] } | undefined)?.hooks ?? all),
    )
    this.loaded.resolve({ ok: true, manifests })
  }

  /** The thread ends by itself. */
  crash(error: Error | null): void {
    this.#end.resolve(error)
  }

  exit(): void {
    this.hasExited = true
    this.#exit.resolve()
  }

  /** The lane says that its child process is lost. */
  lose(loss: LaneLoss): void {
    this.#tellLost(loss)
  }

  #makeLink(): LaneThread['link'] {
    return {
      load: (spec) => {
        this.asked.push('load')
        this.spec = spec
        if (this.#succeedsWhenAsked) this.succeed()
        return this.loaded.promise
      },
      handOver: async (step) => {
        this.asked.push(`handOver ${step}`)
      },
      shutdown: async () => {
        this.asked.push('shutdown')
      },
      stop: (_timeoutMs, isSucceeded) => {
        this.asked.push(isSucceeded === true ? 'stop, succeeded' : 'stop')
        return this.stopped.promise
      },
      onLost: (receive) => {
        this.#tellLost = receive
      },
      onLog() {},
      onServe() {},
      onSent() {},
    }
  }
}

export class ThreadStandIns {
  /** In the order in which they were taken. */
  readonly taken: ThreadStandIn[] = []
  /** Of the threads to be taken next; after these, they just succeed. */
  readonly coming: Conduct[]

  constructor(coming: readonly Conduct[] = []) {
    this.coming = [...coming]
  }

  async take(_profile: unknown, isReplacement: boolean): Promise<ThreadStandIn> {
    const thread = new ThreadStandIn(this.coming.shift() ?? {}, isReplacement)
    this.taken.push(thread)
    try {
      await thread.booted.promise
    } catch (error) {
      thread.exit()
      throw error
    }
    return thread
  }

  at(index: number): ThreadStandIn {
    const thread = this.taken[index]
    if (thread === undefined) throw new Error(`no thread ${index} was taken; there are ${this.taken.length}`)
    return thread
  }

  /** How many have not exited. */
  get left(): number {
    return this.taken.filter(({ hasExited }) => !hasExited).length
  }
}
