/**
 * Keeps a plugin's VM: begins it from the image, takes it through the stages of the plugin's life, and begins another
 * when it is broken or its memory stays full. Knows which calls and stages have yet to settle. The lane's thread only.
 */
import type { PluginLogger } from '../../../plugin/index.js'
import { describe } from '../../../plugin/setup.js'
import { monotonicMs } from '../../../ring/clock.js'
import { StoppedAtDeadline } from '../runtime.js'
import { PROTOCOL } from './guest/protocol.js'
import { flagsOf, type SetupPlace, setupErrorOf, setupTextOf } from './guest-setup.js'
import type { Image } from './image.js'
import { createGuestLog } from './log.js'
import type { Machine, Started } from './machine.js'
import { heapBytesOf, START_MS } from './preparation.js'
import { createRestarts, type Restarts } from './restarts.js'
import { MAX_SAID_BYTES, type Settled, settledIn } from './verdict.js'
import { type JobsOutcome, memoryBytesFor, Vm, VmBroken } from './vm.js'
import type { VmServices } from './vm-services.js'
import { WaitingCalls } from './waiting.js'

export interface GuestOptions extends SetupPlace {
  readonly machine: Machine
  readonly image: Image
  readonly log: PluginLogger
}

export interface TimerListener {
  /** Timers of the guest are due. */
  timersDue(): void
}

/** An aborted signal's listeners, and other things that should take no time. */
export const MOMENT_MS = 20
const NO_CALL = 0

export class Keeper {
  readonly waiting = new WaitingCalls()
  readonly #options: GuestOptions
  readonly #heapBytes: number
  readonly #memory: { readonly leastBytes: number; readonly mostBytes: number }
  readonly #setupText: string
  readonly #restarts: Restarts
  readonly #services: VmServices
  #timerListener: TimerListener | null = null
  #timer: NodeJS.Timeout | undefined
  /** Started, and nothing in it yet: the next VM begins in it. */
  #spare: Started | null = null
  #vm: Vm | null = null
  /** The VM is another one than at first, and its setup waits for something. */
  #isBeingSetUp = false
  /** The call whose jobs are being run, and what it came to while they ran. */
  #inlineId = NO_CALL
  #inline: Settled | null = null
  #isDisposed = false

  /** @throws HookringError PLUGIN_CONFIG_INVALID */
  constructor(options: GuestOptions) {
    const { name, spec, image, log } = options
    this.#options = options
    this.#heapBytes = heapBytesOf(spec)
    this.#memory = { leastBytes: image.bytes, mostBytes: memoryBytesFor(this.#heapBytes) }
    this.#setupText = setupTextOf(options)
    this.#restarts = createRestarts(name)
    this.#services = {
      log: createGuestLog(name, log),
      settled: (text) => this.#settle(text),
      timer: (ms) => this.#setTimer(ms),
    }
  }

  /** Null while it is broken. */
  get vm(): Vm | null {
    return this.#vm
  }

  /** Sets the plugin up; what it offers, as flagsOf has it. @throws HookringError PLUGIN_... */
  async start(timerListener: TimerListener): Promise<string> {
    this.#timerListener = timerListener
    const { machine, name } = this.#options
    try {
      this.#begin(await machine.start(this.#memory))
      const settled = await this.stage(PROTOCOL.SET_UP, PROTOCOL.SETUP_ID, this.#setupText)
      this.#spare = await machine.start(this.#memory)
      return await this.#accept(settled)
    } catch (error) {
      this.dispose()
      throw setupErrorOf(error, name)
    }
  }

  /** Whether the plugin is set up, so that there is something to shut down. */
  get isSetUp(): boolean {
    return this.#vm !== null && !this.#isBeingSetUp
  }

  /** The VM, begun anew if it has to be. @throws Error when there is none now, or its plugin has not been set up yet */
  running(): Vm {
    const vm = this.#vm ?? this.#beginAnew()
    if (this.#isBeingSetUp) throw new Error('the plugin is being set up anew')
    return vm
  }

  /** Runs `body`, and gives the VM up when it breaks under it. */
  guarded<T>(body: () => T): T {
    try {
      return body()
    } catch (error) {
      if (!(error instanceof VmBroken)) throw error
      this.#breakDown(error.message)
      throw new Error(`the plugin's VM was given up: ${error.message}`)
    }
  }

  /** For what no call waits for: a VM that breaks under it has been reported. */
  betweenCalls(body: (vm: Vm) => void): void {
    const vm = this.#vm
    if (vm === null) return
    try {
      this.guarded(() => body(vm))
    } catch (error) {
      if (this.#vm !== null) this.#options.log.error(`between calls: ${describe(error)}`)
    }
  }

  /** After memory has run out: what the plugin holds on to may leave it none. */
  checkMemory(failure: string): void {
    const vm = this.#vm
    if (vm !== null && vm.enter(PROTOCOL.PROBE, monotonicMs() + MOMENT_MS) !== 'returned') this.#breakDown(failure)
  }

  /** Runs jobs for the call that is about to settle; what it came to, if it has. */
  runJobsFor(id: number, untilMs: number, deadlineMs: number): { jobs: JobsOutcome; settled: Settled | null } {
    this.#inlineId = id
    this.#inline = null
    try {
      const jobs = (this.#vm as Vm).runJobs(untilMs, deadlineMs)
      return { jobs, settled: this.#inline }
    } finally {
      this.#inlineId = NO_CALL
      this.#inline = null
    }
  }

  /** Runs a stage of the plugin's life; a promise when there is a timer to wait for. */
  stage(op: number, id: number, text?: string): Settled | Promise<Settled> {
    const vm = this.#vm as Vm
    const deadlineMs = monotonicMs() + START_MS
    vm.setWord(PROTOCOL.CALL, id)
    const outcome = vm.enter(op, deadlineMs, text)
    if (outcome === 'stopped') throw new StoppedAtDeadline()
    if (outcome === 'failed') throw new Error(vm.failure())
    if (vm.word(PROTOCOL.STATUS) !== PROTOCOL.PENDING) return settledIn(vm, vm.said(MAX_SAID_BYTES))
    const { jobs, settled } = this.runJobsFor(id, deadlineMs, deadlineMs)
    if (settled !== null) return settled
    if (jobs === 'stopped') throw new StoppedAtDeadline()
    return this.#settling(id, deadlineMs)
  }

  dispose(): void {
    this.#isDisposed = true
    clearTimeout(this.#timer)
    this.#vm = null
    this.#spare = null
  }

  /** A VM as the image has it, its setup not yet run. */
  #begin(started: Started): Vm {
    const { machine, image } = this.#options
    const vm = new Vm({
      started,
      machineId: machine.id,
      heapBytes: this.#heapBytes,
      services: this.#services,
      from: image,
    })
    this.#vm = vm
    vm.setWord(PROTOCOL.A, randomWord())
    vm.setWord(PROTOCOL.B, randomWord())
    vm.enter(PROTOCOL.SEED, monotonicMs() + START_MS)
    // The module itself may have set some.
    vm.enter(PROTOCOL.TIMERS, monotonicMs() + START_MS)
    return vm
  }

  #beginAnew(): Vm {
    const refusal = this.#isDisposed ? 'the plugin has been let go of' : this.#restarts.refusal(monotonicMs())
    if (refusal !== null) throw new Error(refusal)
    const started = this.#spare
    this.#prepareSpare()
    if (started === null) throw new Error('the plugin is being started anew')
    this.#restarts.began(monotonicMs())
    try {
      const vm = this.#begin(started)
      this.#setUpAnew(vm)
      return vm
    } catch (error) {
      const failure = setupErrorOf(error, this.#options.name)
      this.#breakDown(failure.message)
      throw failure
    }
  }

  /** Where setup waits, calls fail until it is over. */
  #setUpAnew(vm: Vm): void {
    const settled = this.stage(PROTOCOL.SET_UP, PROTOCOL.SETUP_ID, this.#setupText)
    if (!(settled instanceof Promise)) {
      this.#hasBeenSetUp(settled)
      return
    }
    this.#isBeingSetUp = true
    settled
      .then((later) => {
        if (this.#vm === vm) this.#hasBeenSetUp(later)
      })
      .catch((error: unknown) => {
        if (this.#vm === vm) this.#breakDown(describe(setupErrorOf(error, this.#options.name)))
      })
  }

  #hasBeenSetUp(settled: Settled): void {
    flagsOf(settled, this.#options)
    this.#isBeingSetUp = false
    this.#options.log.warn('its VM was started anew, and set up')
  }

  async #accept(settled: Settled): Promise<string> {
    try {
      return flagsOf(settled, this.#options)
    } catch (error) {
      // Setup itself may have succeeded: what it opened is closed, though nothing of it will be called.
      await Promise.resolve(this.stage(PROTOCOL.DESTROY, PROTOCOL.DESTROY_ID)).catch(() => {})
      throw error
    }
  }

  #breakDown(reason: string): void {
    if (this.#vm === null) return
    this.#vm = null
    this.#isBeingSetUp = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.waiting.failAll(new Error(`the plugin's VM was given up: ${reason}`))
    this.#restarts.brokeDown(reason)
    this.#options.log.error(`its VM was given up, and what it remembered is lost: ${reason}`)
  }

  /** Starting a machine takes turns of the event loop, so the next one is made before it is needed. */
  #prepareSpare(): void {
    this.#spare = null
    this.#options.machine.start(this.#memory).then(
      (started) => {
        if (!this.#isDisposed) this.#spare = started
      },
      () => {},
    )
  }

  /** The call or stage that the VM's header names has settled. */
  #settle(text: string | null): void {
    const vm = this.#vm as Vm
    const id = vm.word(PROTOCOL.CALL)
    const settled = settledIn(vm, text)
    if (id === this.#inlineId) this.#inline = settled
    else this.waiting.settle(id, settled)
  }

  #settling(id: number, deadlineMs: number): Promise<Settled> {
    return new Promise((settle, fail) => {
      const check = () => {
        if (!this.waiting.has(id)) return
        if (monotonicMs() >= deadlineMs) this.waiting.fail(id, new StoppedAtDeadline())
        else if (this.#canSettle()) setTimeout(check, 2)
        else this.waiting.fail(id, new Error('its promise never settles'))
      }
      this.waiting.add(id, { deadlineMs, settle, fail })
      check()
    })
  }

  #canSettle(): boolean {
    return this.#timer !== undefined || this.#vm?.hasJobs() === true
  }

  #setTimer(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = ms < 0 || this.#isDisposed ? undefined : setTimeout(this.#due, ms)
  }

  readonly #due = (): void => {
    this.#timer = undefined
    this.#timerListener?.timersDue()
  }
}

function randomWord(): number {
  return Math.trunc(Math.random() * 2 ** 32) | 0
}
