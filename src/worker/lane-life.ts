/**
 * A lane's life in its thread: plugins are loaded, served until the host says stop, and destroyed. What the host asks for on
 * the way comes over the control plane (control.ts).
 */
import type { HandOver, LaneControl, LaneSpec, LoadResult } from '../contracts/control.js'
import { HookringError } from '../contracts/errors.js'
import type { LaneLoss } from '../contracts/process.js'
import { describe } from '../plugin/setup.js'
import { LATE, within } from '../primitives/within.js'
import { WorkerRing } from '../ring/worker-ring.js'
import { type LoadedPlugin, loadPlugins } from './calls/loader.js'
import { LaneLoop } from './lane-loop.js'
import type { PrestartedChild } from './process/child-runtime.js'
import type { Runtime } from './runtimes/runtime.js'
import { runAs, setResidents } from './thread/attribution.js'
import { BackgroundWatch } from './thread/background-watch.js'
import { ExitHandlers } from './thread/exit-handlers.js'
import type { HostServices } from './thread/host-services.js'
import type { LogSender } from './thread/log-sender.js'
import { ThrownErrors } from './thread/thrown-errors.js'

export interface LaneLifeOptions {
  readonly sender: Pick<LogSender, 'send' | 'drop' | 'logger' | 'isSending' | 'flushed'>
  /** The child process in which its plugins will run, booting; null: they run here. */
  readonly prestarted?: PrestartedChild | null
  onLost?(loss: LaneLoss): void
  /** Left out: there are none. */
  readonly services?: HostServices
  readonly background?: Pick<BackgroundWatch, 'begin' | 'loaded' | 'turn' | 'hasBackground' | 'needsLoop'>
}

export class LaneLife implements LaneControl {
  /** Resolves when the lane has stopped and its plugins are destroyed. */
  readonly ended: Promise<void>
  readonly #sender: LaneLifeOptions['sender']
  readonly #prestarted: PrestartedChild | null
  readonly #onLost: (loss: LaneLoss) => void
  readonly #services: HostServices | undefined
  readonly #background: NonNullable<LaneLifeOptions['background']>
  #end: () => void = () => {}
  #ring: WorkerRing | null = null
  #loop: LaneLoop | null = null
  #plugins: readonly LoadedPlugin[] = []
  #exitHandlers = new ExitHandlers()
  #shutdownTimeoutMs = 0
  #serving: Promise<void> = Promise.resolve()
  /** Control calls under way, which need the event loop. */
  #controlCalls = 0

  constructor(options: LaneLifeOptions) {
    const { sender, prestarted = null, onLost = () => {}, services, background = new BackgroundWatch() } = options
    this.#sender = sender
    this.#prestarted = prestarted
    this.#onLost = onLost
    this.#services = services
    this.#background = background
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  async load(spec: LaneSpec): Promise<LoadResult> {
    this.#shutdownTimeoutMs = spec.shutdownTimeoutMs
    setResidents(spec.plugins)
    const ring = new WorkerRing(spec.buffer)
    this.#ring = ring
    this.#exitHandlers = new ExitHandlers()
    // Other runtimes call V8 for themselves, before their plugins are there.
    const isModules = this.#prestarted === null && spec.plugins.every(({ runtime }) => runtime === 'module')
    this.#background.begin(isModules ? spec.buffer : undefined)
    const { plugins, result } = await loadPlugins(spec, {
      logger: (plugin) => this.#sender.logger(plugin),
      announce: (index) => ring.loading(index),
      services: this.#services,
      childRuntime: await this.#childRuntime(spec),
    })
    this.#plugins = plugins
    if (!result.ok) {
      await this.#destroyAll()
      // The host lets go of the thread when it hears this: what was logged on the way must be there by then.
      await this.#sender.flushed()
      return result
    }
    this.#serve(spec, ring)
    return result
  }

  shutdown(): Promise<void> {
    return this.#underControl(async () => {
      await Promise.all(this.#plugins.map((plugin) => this.#runStage(plugin, 'onShutdown')))
    })
  }

  handOver(step: HandOver): Promise<void> {
    return this.#underControl(async () => {
      await Promise.all(this.#plugins.map((plugin) => plugin.handOver?.(step)))
    })
  }

  stop(isSucceeded = false): Promise<void> {
    return this.#underControl(async () => {
      this.#loop?.stop()
      this.#ring?.unpark()
      await this.#serving
      if (isSucceeded) for (const plugin of this.#plugins) plugin.succeeded?.()
      await this.#destroyAll()
      this.#exitHandlers.run((error) => this.#report('(lane)', `an exit handler failed: ${describe(error)}`))
      // The host lets go of the thread when this resolves: what was logged last must be there by then.
      await this.#sender.flushed()
      setImmediate(this.#end)
    })
  }

  /** Told by the control module for each message of the host's. */
  controlArrived(): void {
    this.#ring?.controlSeen()
  }

  #serve(spec: LaneSpec, ring: WorkerRing): void {
    const loop = new LaneLoop({
      spec,
      ring,
      plugins: this.#plugins,
      background: this.#background,
      // A child process tells of its own.
      thrown: this.#prestarted === null ? new ThrownErrors(this.#sender) : null,
      needsLoop: () => this.#needsLoop(),
    })
    this.#loop = loop
    this.#serving = loop.serve().catch((error: unknown) => {
      this.#report('(lane)', `the lane's loop failed: ${describe(error)}`)
      process.exit(1)
    })
  }

  /**
   * Whether something of the lane's own is under way: a control call, an answer of a host service, the acknowledgement of
   * log lines. Whatever a child process says needs the loop too.
   */
  #needsLoop(): boolean {
    if (this.#prestarted !== null || this.#controlCalls > 0 || this.#sender.isSending()) return true
    return this.#services !== undefined && this.#services.underWay() > 0
  }

  async #childRuntime(spec: LaneSpec): Promise<Runtime | null> {
    if (this.#prestarted === null) return null
    const { ChildRuntime } = await import('./process/child-runtime.js')
    return new ChildRuntime({
      prestarted: this.#prestarted,
      spec,
      log: (line) => this.#sender.send(line),
      dropped: (lines) => this.#sender.drop(lines),
      onLost: this.#onLost,
    })
  }

  async #underControl<T>(body: () => Promise<T>): Promise<T> {
    this.#controlCalls += 1
    try {
      return await body()
    } finally {
      this.#controlCalls -= 1
    }
  }

  async #destroyAll(): Promise<void> {
    const destroyed = this.#plugins
    this.#plugins = []
    for (const plugin of [...destroyed].reverse()) {
      await this.#runStage(plugin, 'destroy')
      await plugin.dispose?.()
    }
  }

  async #runStage(plugin: LoadedPlugin, key: 'onShutdown' | 'destroy'): Promise<void> {
    const hook = plugin[key]
    if (hook === undefined) return
    const ms = this.#shutdownTimeoutMs
    try {
      if ((await within(Promise.resolve(runAs(plugin.name, hook)), ms)) === LATE) {
        throw new HookringError('CONTROL_TIMEOUT', `${key} took longer than ${ms} ms`)
      }
    } catch (error) {
      this.#report(plugin.name, `${key} failed: ${describe(error)}`)
    }
  }

  #report(plugin: string, message: string): void {
    this.#sender.send({ level: 'error', plugin, message, uncaught: true })
  }
}
