/**
 * Keeps a plugin's VM: begins it from the image, takes it through the stages of the plugin's life, and begins another
 * when it is broken or its memory stays full. Knows which calls and stages have yet to settle. The lane's thread only.
 */
import type { HookpointSpec, PluginSpec } from '../../../contracts/control.js'
import { HookringError } from '../../../contracts/errors.js'
import type { PluginLogger } from '../../../plugin/index.js'
import { describe } from '../../../plugin/setup.js'
import { monotonicMs } from '../../../ring/clock.js'
import { StoppedAtDeadline } from '../runtime.js'
import { refusalOf, thrownBy } from './definition.js'
import { PROTOCOL } from './guest/protocol.js'
import type { Image } from './image.js'
import { createGuestLog } from './log.js'
import type { Machine, Started } from './machine.js'
import { heapBytesOf, START_MS } from './preparation.js'
import { createRestarts } from './restarts.js'
import { readText, writeText } from './text.js'
import { MAX_SAID_BYTES, type Settled, settledIn } from './verdict.js'
import { createVm, memoryBytesFor, type Vm, VmBroken } from './vm.js'

export interface GuestOptions {
  readonly name: string
  readonly spec: PluginSpec
  readonly contract: { readonly name: string; readonly version: number }
  readonly hookpoints: readonly HookpointSpec[]
  readonly machine: Machine
  readonly image: Image
  readonly log: PluginLogger
}

/** A call, or a stage of the plugin's life, that has yet to settle. */
export interface Waiting {
  readonly deadlineMs: number
  settle(settled: Settled): void
  fail(error: Error): void
}

export interface Keeper {
  /** Sets the plugin up; what it offers, as flags: onShutdown, destroy, then a hook for each hookpoint. */
  start(): Promise<string>
  /** The VM, or null while it is broken. */
  vm(): Vm | null
  /** The VM, begun anew if it has to be. @throws Error when there is none now */
  running(): Vm
  /** Runs `body`, and gives the VM up when it breaks under it. */
  guarded<T>(body: () => T): T
  /** After memory has run out: what the plugin holds on to may leave it none. */
  checkMemory(failure: string): void
  /** Runs jobs for the call that is about to settle; what it came to, if it has. */
  runJobsFor(
    id: number,
    untilMs: number,
    deadlineMs: number,
  ): { jobs: 'none' | 'more' | 'stopped'; settled: Settled | null }
  readonly waiting: Map<number, Waiting>
  take(id: number): Waiting | undefined
  /** Runs a stage of the plugin's life; a promise when there is a timer to wait for. */
  stage(op: number, id: number, text?: string): Settled | Promise<Settled>
  dispose(): void
}

/** An aborted signal's listeners, and other things that should take no time. */
export const MOMENT_MS = 20
const NO_CALL = 0

/** @param onTimers told when timers are due. @throws HookringError PLUGIN_CONFIG_INVALID */
export function createKeeper(options: GuestOptions, onTimers: () => void): Keeper {
  const { name, spec, hookpoints, machine, image, log } = options
  const heapBytes = heapBytesOf(spec)
  const memory = { leastBytes: image.bytes, mostBytes: memoryBytesFor(heapBytes) }
  const setupText = setupTextOf(options)
  const restarts = createRestarts(name)
  const waiting = new Map<number, Waiting>()
  let spare: Started | null = null
  let vm: Vm | null = null
  let inlineId = NO_CALL
  let inline: Settled | null = null
  let timer: NodeJS.Timeout | undefined
  let isDisposed = false

  const services = {
    log: createGuestLog(name, log),
    settled(text: string | null) {
      const at = vm as Vm
      const id = at.word(PROTOCOL.CALL)
      const settled = settledIn(at, text)
      if (id === inlineId) inline = settled
      else take(id)?.settle(settled)
    },
    timer(ms: number) {
      clearTimeout(timer)
      timer = ms < 0 || isDisposed ? undefined : setTimeout(due, ms)
    },
  }

  function due(): void {
    timer = undefined
    onTimers()
  }

  function take(id: number): Waiting | undefined {
    const found = waiting.get(id)
    waiting.delete(id)
    return found
  }

  /** A VM as the image has it, its setup not yet run. */
  function begin(started: Started): Vm {
    const begun = createVm({ started, machineId: machine.id, heapBytes, services, from: image })
    vm = begun
    begun.setWord(PROTOCOL.A, randomWord())
    begun.setWord(PROTOCOL.B, randomWord())
    begun.enter(PROTOCOL.SEED, monotonicMs() + START_MS)
    // The module itself may have set some.
    begun.enter(PROTOCOL.TIMERS, monotonicMs() + START_MS)
    return begun
  }

  function runJobsFor(id: number, untilMs: number, deadlineMs: number) {
    inlineId = id
    inline = null
    try {
      const jobs = (vm as Vm).runJobs(untilMs, deadlineMs)
      return { jobs, settled: inline }
    } finally {
      inlineId = NO_CALL
      inline = null
    }
  }

  function stage(op: number, id: number, text?: string): Settled | Promise<Settled> {
    const at = vm as Vm
    const deadlineMs = monotonicMs() + START_MS
    at.setWord(PROTOCOL.CALL, id)
    const outcome = at.enter(op, deadlineMs, text)
    if (outcome === 'stopped') throw new StoppedAtDeadline()
    if (outcome === 'failed') throw new Error(at.failure())
    if (at.word(PROTOCOL.STATUS) !== PROTOCOL.PENDING) return settledIn(at, at.said(MAX_SAID_BYTES))
    const { jobs, settled } = runJobsFor(id, deadlineMs, deadlineMs)
    if (settled !== null) return settled
    if (jobs === 'stopped') throw new StoppedAtDeadline()
    return settling(id, deadlineMs)
  }

  function settling(id: number, deadlineMs: number): Promise<Settled> {
    return new Promise((settle, fail) => {
      const check = () => {
        if (!waiting.has(id)) return
        if (monotonicMs() >= deadlineMs) take(id)?.fail(new StoppedAtDeadline())
        else if (timer === undefined && vm?.hasJobs() !== true) take(id)?.fail(new Error('its promise never settles'))
        else setTimeout(check, 2)
      }
      waiting.set(id, { deadlineMs, settle, fail })
      check()
    })
  }

  /** The plugin's flags. @throws HookringError PLUGIN_... */
  function accept({ status, text, bytes }: Settled): string {
    if (status === PROTOCOL.DONE) return String(JSON.parse(text ?? '""'))
    if (status !== PROTOCOL.ERROR) throw refusalOf(text === null ? null : readText(text, bytes), name, hookpoints)
    const cause = thrownBy(text)
    throw new HookringError('PLUGIN_SETUP_FAILED', `plugin ${name}: setup threw: ${describe(cause)}`, { cause })
  }

  function setupError(error: unknown): HookringError {
    if (error instanceof HookringError) return error
    if (error instanceof StoppedAtDeadline) {
      return new HookringError('PLUGIN_SETUP_TIMEOUT', `plugin ${name} did not finish its setup in ${START_MS} ms`)
    }
    return new HookringError('PLUGIN_SETUP_FAILED', `plugin ${name}: setup failed: ${describe(error)}`, {
      cause: error,
    })
  }

  function breakDown(reason: string): void {
    if (vm === null) return
    vm = null
    clearTimeout(timer)
    timer = undefined
    const error = new Error(`the plugin's VM was given up: ${reason}`)
    for (const id of [...waiting.keys()]) take(id)?.fail(error)
    restarts.brokeDown(reason)
    log.error(`its VM was given up, and what it remembered is lost: ${reason}`)
  }

  function running(): Vm {
    if (vm !== null) return vm
    const refusal = isDisposed ? 'the plugin has been let go of' : restarts.refusal(monotonicMs())
    if (refusal !== null) throw new Error(refusal)
    const started = spare
    prepareSpare()
    if (started === null) throw new Error('the plugin is being started anew')
    restarts.began(monotonicMs())
    try {
      const begun = begin(started)
      const settled = stage(PROTOCOL.SET_UP, PROTOCOL.SETUP_ID, setupText)
      if (settled instanceof Promise) {
        void settled.then(accept).catch((error: unknown) => breakDown(describe(setupError(error))))
        throw new Error('the plugin is being set up anew')
      }
      accept(settled)
      log.warn('its VM was started anew, and set up')
      return begun
    } catch (error) {
      const failure = setupError(error)
      breakDown(failure.message)
      throw failure
    }
  }

  /** Starting a machine takes turns of the event loop, so the next one is made before it is needed. */
  function prepareSpare(): void {
    spare = null
    machine.start(memory).then(
      (started) => {
        if (!isDisposed) spare = started
      },
      () => {},
    )
  }

  function dispose(): void {
    isDisposed = true
    clearTimeout(timer)
    vm = null
    spare = null
  }

  return {
    async start() {
      try {
        begin(await machine.start(memory))
        const settled = await stage(PROTOCOL.SET_UP, PROTOCOL.SETUP_ID, setupText)
        spare = await machine.start(memory)
        try {
          return accept(settled)
        } catch (error) {
          // Setup itself may have succeeded: what it opened is closed, though nothing of it will be called.
          await Promise.resolve(stage(PROTOCOL.DESTROY, PROTOCOL.DESTROY_ID)).catch(() => {})
          throw error
        }
      } catch (error) {
        dispose()
        throw setupError(error)
      }
    },
    vm: () => vm,
    running,
    guarded(body) {
      try {
        return body()
      } catch (error) {
        if (!(error instanceof VmBroken)) throw error
        breakDown(error.message)
        throw new Error(`the plugin's VM was given up: ${error.message}`)
      }
    },
    checkMemory(failure) {
      if (vm !== null && vm.enter(PROTOCOL.PROBE, monotonicMs() + MOMENT_MS) !== 'returned') breakDown(failure)
    },
    runJobsFor,
    waiting,
    take,
    stage,
    dispose,
  }
}

function randomWord(): number {
  return Math.trunc(Math.random() * 2 ** 32) | 0
}

/** @throws HookringError PLUGIN_CONFIG_INVALID */
function setupTextOf({ name, spec, contract, hookpoints }: GuestOptions): string {
  const told = {
    name,
    config: spec.config,
    contract: { name: contract.name, version: contract.version },
    hookpoints: hookpoints.map((point) => ({ name: point.name, kind: point.kind })),
  }
  try {
    return writeText(told, '')
  } catch (error) {
    const message = `plugin ${name}: ${(error as Error).message.replace(/^\./, '')}`
    throw new HookringError('PLUGIN_CONFIG_INVALID', message, { path: ['config'], cause: error })
  }
}
