/**
 * Recordings: `engine.record()`. A recording is a shadow plugin in a bulkhead of its own, so the ring, its bounds and its
 * counters serve it like any plugin. This file begins and ends the recording's file. Host's thread only.
 */
import { appendFile, open, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LayoutPlan } from '../contracts/codec/plan.js'
import type { Contract, Hookpoints } from '../contracts/contract.js'
import type { LogLine } from '../contracts/control.js'
import { HookringError } from '../contracts/errors.js'
import type { Logger, PluginOptions } from '../contracts/options.js'
import { parseOptions } from '../contracts/parse-options.js'
import {
  RECORDER_SAYS,
  RECORDING_VERSION,
  type RecorderConfig,
  type RecorderSays,
  type RecordingHeader,
  recorderSaysSchema,
  recordOptionsSchema,
} from '../contracts/recording/format.js'
import { bindMethods } from '../primitives/bind-methods.js'
import { within } from '../primitives/within.js'
import { packageFile } from './primitives/package-files.js'
import { compileRedact, maskedFields, revealedPlans } from './recording-redaction.js'
import { type PluginRecorder, VERDICT_INDEX } from './telemetry/recorders.js'

/** A slow disk delays the recorder's lane, not the server: events wait there, and are then dropped and counted. */
const RECORDER_TIMEOUT_MS = 30_000

export interface RecordOptions<Points extends Hookpoints = Hookpoints> {
  /** Hookpoints whose calls are recorded. Default: all of the contract. */
  hookpoints?: readonly (keyof Points & string)[]
  /** Share of calls that are recorded: above 0, at most 1. Default 1. */
  sample?: number
  /**
   * Fields whose values must not reach the file: `username`, `client.address`, `onAuth.username`, `headers.*`, also
   * through lists (`events.senderIdentity`). Other values of the same type and length are written. If the schema allows
   * none (a format, a pattern), give a value: `{ email: 'someone@example.com', username: true }`.
   */
  redact?: readonly string[] | Readonly<Record<string, unknown>>
  /**
   * Secret fields of the contract (`secret()`) whose real values the file may contain: `onConnect.password`, `ticket`. Other
   * secret fields are masked with values that the schema allows. A field that is also in `redact` is redacted. Default: none.
   */
  reveal?: readonly string[]
  /** The recording stops when the file has this many bytes. Default 256 MiB. */
  maxBytes?: number
}

/** A recording under way. */
export interface Recording extends AsyncDisposable {
  /** The file's absolute path. */
  readonly file: string
  /** The name of the shadow plugin that writes the file, as its metrics and log lines have it. */
  readonly plugin: string
  /** Events that the recorder's lane has taken so far. */
  readonly recorded: number
  /** Events that the recorder's lane had no room for, or lost. */
  readonly dropped: number
  /** Why the recording has stopped by itself (the file is full, the disk does not write); otherwise null. */
  readonly problem: string | null
  /** Writes what is left and ends the file. Called again, it returns the same promise. */
  stop(): Promise<RecordingSummary>
}

export interface RecordingSummary {
  readonly file: string
  /** Events in the file. */
  readonly recorded: number
  /** Events that the recorder's lane had no room for, or lost. */
  readonly dropped: number
  /** Events that came when the file was full or could no longer be written. */
  readonly left: number
  readonly problem: string | null
}

export interface RecordingsOptions {
  readonly contract: Contract
  readonly logger: Logger
  /** How long the recorder may take to write what it has when it is told to stop, in milliseconds. */
  readonly stopTimeoutMs: number
  add(plugin: PluginOptions): Promise<void>
  remove(name: string): Promise<void>
  /** The counters of a plugin, one for each hookpoint that it hooks. */
  recordersOf(name: string): readonly PluginRecorder[]
}

export class Recordings {
  readonly #options: RecordingsOptions
  readonly #running = new Map<string, RunningRecording>()
  #count = 0

  constructor(options: RecordingsOptions) {
    this.#options = options
  }

  /** @throws HookringError OPTIONS_INVALID, HOOKPOINT_UNKNOWN */
  async start(to: string | URL, asked: unknown): Promise<Recording> {
    const { contract } = this.#options
    const chosen = parseOptions(recordOptionsSchema, asked ?? {}, 'record')
    const hookpoints = chosen.hookpoints ?? Object.keys(contract.hookpoints)
    const plans = new Map(hookpoints.map((hookpoint) => [hookpoint, planOf(contract, hookpoint)]))
    const redacted = compileRedact(plans, chosen.redact)
    const revealed = revealedPlans(plans, chosen.reveal)
    const redactedPaths = Array.isArray(chosen.redact) ? chosen.redact : Object.keys(chosen.redact)
    const file = to instanceof URL ? fileURLToPath(to) : resolve(to)
    const startedAtMs = Date.now()
    await begin(file, {
      hookring: 'recording',
      version: RECORDING_VERSION,
      contract: { name: contract.name, version: contract.version },
      hookpoints,
      startedAt: new Date(startedAtMs).toISOString(),
      sample: chosen.sample,
      redacted: [...new Set([...redactedPaths, ...maskedFields(revealed)])],
    })
    const name = this.#nextName()
    const config: RecorderConfig = {
      file,
      startedAtMs,
      maxBytes: chosen.maxBytes,
      hookpoints: hookpoints.map((hookpoint) => ({
        name: hookpoint,
        plan: revealed.get(hookpoint) as LayoutPlan,
        redacted: redacted.get(hookpoint) ?? [],
      })),
    }
    await this.#addRecorder(name, config, chosen.sample)
    const recording = bindMethods(new RunningRecording(name, file, this.#options, () => this.#running.delete(name)))
    this.#running.set(name, recording)
    return recording
  }

  /** Takes a line that a recorder logged for its host. False: it is an ordinary log line. */
  hears({ plugin, fields }: LogLine): boolean {
    const said = fields?.[RECORDER_SAYS]
    const heard = said === undefined ? undefined : this.#running.get(plugin)
    if (heard === undefined) return false
    const checked = recorderSaysSchema.safeParse(said)
    if (checked.success) heard.hear(checked.data)
    return true
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((recording) => recording.stop()))
  }

  #nextName(): string {
    this.#count += 1
    return `recorder-${this.#count}`
  }

  async #addRecorder(name: string, config: RecorderConfig, sample: number): Promise<void> {
    const from = packageFile('hooks/recorder.js')
    from.searchParams.set('contract', this.#options.contract.id)
    try {
      await this.#options.add({
        from,
        name,
        config,
        mode: 'shadow',
        sample,
        timeoutMs: RECORDER_TIMEOUT_MS,
        onFailure: 'allow',
      })
    } catch (error) {
      await rm(config.file, { force: true })
      throw error
    }
  }
}

class RunningRecording implements Recording {
  readonly file: string
  readonly plugin: string
  readonly #options: RecordingsOptions
  readonly #recorders: readonly PluginRecorder[]
  readonly #onEnd: () => void
  readonly #whenClosed: Promise<void>
  #tellClosed!: () => void
  #closed: Extract<RecorderSays, { state: 'closed' }> | null = null
  #problem: string | null = null
  #stopping: Promise<RecordingSummary> | null = null

  constructor(plugin: string, file: string, options: RecordingsOptions, onEnd: () => void) {
    this.plugin = plugin
    this.file = file
    this.#options = options
    this.#recorders = options.recordersOf(plugin)
    this.#onEnd = onEnd
    this.#whenClosed = new Promise((resolve) => {
      this.#tellClosed = resolve
    })
  }

  get recorded(): number {
    return this.#closed?.recorded ?? this.#sum(({ verdicts }) => verdicts[VERDICT_INDEX.continue] as number)
  }

  get dropped(): number {
    return this.#sum(({ failures }) => failures.reduce((total, failed) => total + failed, 0))
  }

  get problem(): string | null {
    return this.#problem
  }

  stop(): Promise<RecordingSummary> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  hear(said: RecorderSays): void {
    if (said.state === 'closed') {
      this.#closed = said
      this.#tellClosed()
      return
    }
    this.#problem ??= said.message
    const { logger } = this.#options
    logger.warn({ recording: this.file, dropped: this.dropped }, `recording has stopped: ${said.message}`)
    // Nothing more can be written, so its events need not cross any more.
    void this.stop().catch(() => {})
  }

  async #stop(): Promise<RecordingSummary> {
    await this.#options.remove(this.plugin).catch((error: HookringError) => {
      // The plugin has been removed already: the recording ends in the same way.
      if (error.code !== 'PLUGIN_UNKNOWN') throw error
    })
    if (this.#closed === null) await within(this.#whenClosed, this.#options.stopTimeoutMs)
    this.#onEnd()
    const closed = this.#closed as Extract<RecorderSays, { state: 'closed' }> | null
    const { recorded, left } = closed ?? { recorded: this.recorded, left: 0 }
    const end = { recorded, dropped: this.dropped, left }
    if (closed === null) this.#problem ??= 'the recorder did not confirm that it has written everything'
    else {
      await appendFile(this.file, `${JSON.stringify({ end })}\n`).catch((error: Error) => {
        this.#problem ??= error.message
      })
    }
    return { file: this.file, ...end, problem: this.#problem }
  }

  #sum(read: (recorder: PluginRecorder) => number): number {
    return this.#recorders.reduce((total, recorder) => total + read(recorder), 0)
  }
}

function planOf(contract: Contract, hookpoint: string): LayoutPlan {
  const point = Object.hasOwn(contract.hookpoints, hookpoint) ? contract.hookpoints[hookpoint] : undefined
  if (point !== undefined) return point.plan
  throw new HookringError(
    'HOOKPOINT_UNKNOWN',
    `record: ${contract.id} has no hookpoint ${hookpoint}; it has ${Object.keys(contract.hookpoints).join(', ')}`,
    { path: ['hookpoints'], hookpoint },
  )
}

async function begin(file: string, header: RecordingHeader): Promise<void> {
  try {
    // Only the operator may read the file, and an existing one is not overwritten: it may be the recording that matters.
    const handle = await open(file, 'wx', 0o600)
    try {
      await handle.writeFile(`${JSON.stringify(header)}\n`)
    } finally {
      await handle.close()
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'it exists already; name another file, or remove this one' : message
    throw new HookringError('OPTIONS_INVALID', `record: ${file} cannot be made: ${why}`, {
      path: ['file'],
      cause: error,
    })
  }
}
