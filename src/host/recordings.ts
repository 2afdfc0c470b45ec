/**
 * Recordings: `engine.record()`. A recording is a shadow plugin of our own in a bulkhead of its own, so that the ring, its
 * bounds and its counters serve it as they serve any plugin; this file begins and ends the file. Host's thread only.
 */
import { appendFile, open, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LayoutPlan } from '../contracts/codec/plan.js'
import { refinementsOf } from '../contracts/codec/refinements.js'
import type { Contract } from '../contracts/contract.js'
import type { LogLine } from '../contracts/control.js'
import { HookringError } from '../contracts/errors.js'
import { type Logger, type PluginOptions, parseOptions } from '../contracts/options.js'
import { createEventWriter, fitsNode } from '../contracts/recording/event-json.js'
import {
  RECORDER_SAYS,
  RECORDING_VERSION,
  type RecorderConfig,
  type RecorderSays,
  type RecordingHeader,
  recorderSaysSchema,
  recordOptionsSchema,
} from '../contracts/recording/format.js'
import { fieldNames, nodesAt, type RedactedField } from '../contracts/recording/redaction.js'
import { within } from '../primitives/within.js'
import type { Recording, RecordingSummary } from './api.js'
import { type PluginRecorder, VERDICT_INDEX } from './telemetry/recorders.js'

/** A slow disk holds up the recorder's lane, not the server: events wait, and then are dropped and counted. */
const RECORDER_TIMEOUT_MS = 30_000

export interface RecordingsOptions {
  readonly contract: Contract
  readonly logger: Logger
  /** How long the recorder may take to write what it has, once it is told to stop. */
  readonly stopTimeoutMs: number
  add(plugin: PluginOptions): Promise<void>
  remove(name: string): Promise<void>
  /** The counters of a plugin, one for each hookpoint that it hooks. */
  recordersOf(name: string): readonly PluginRecorder[]
}

export interface Recordings {
  /** @throws HookringError OPTIONS_INVALID, HOOKPOINT_UNKNOWN */
  start(file: string | URL, options: unknown): Promise<Recording>
  /** Takes a line that a recorder meant for its host; false for all others. */
  hears(line: LogLine): boolean
  stopAll(): Promise<void>
}

export function createRecordings(options: RecordingsOptions): Recordings {
  const { contract, logger } = options
  const running = new Map<string, { recording: Recording; hear(said: RecorderSays): void }>()
  let count = 0

  async function start(to: string | URL, asked: unknown): Promise<Recording> {
    const chosen = parseOptions(recordOptionsSchema, asked ?? {}, 'record')
    const hookpoints = chosen.hookpoints ?? Object.keys(contract.hookpoints)
    const plans = new Map(hookpoints.map((hookpoint) => [hookpoint, planOf(contract, hookpoint)]))
    const redacted = compileRedact(plans, chosen.redact)
    const file = to instanceof URL ? fileURLToPath(to) : resolve(to)
    const startedAtMs = Date.now()
    await begin(file, {
      hookring: 'recording',
      version: RECORDING_VERSION,
      contract: { name: contract.name, version: contract.version },
      hookpoints,
      startedAt: new Date(startedAtMs).toISOString(),
      sample: chosen.sample,
      redacted: Array.isArray(chosen.redact) ? chosen.redact : Object.keys(chosen.redact),
    })
    const name = `recorder-${++count}`
    const from = new URL('../hooks/recorder.js', import.meta.url)
    from.searchParams.set('contract', contract.id)
    const config: RecorderConfig = {
      file,
      startedAtMs,
      maxBytes: chosen.maxBytes,
      hookpoints: hookpoints.map((hookpoint) => ({
        name: hookpoint,
        plan: plans.get(hookpoint) as LayoutPlan,
        redacted: redacted.get(hookpoint) ?? [],
      })),
    }
    try {
      await options.add({
        from,
        name,
        config,
        mode: 'shadow',
        sample: chosen.sample,
        timeoutMs: RECORDER_TIMEOUT_MS,
        onFailure: 'allow',
      })
    } catch (error) {
      await rm(file, { force: true })
      throw error
    }
    return follow(name, file)
  }

  function follow(name: string, file: string): Recording {
    const recorders = options.recordersOf(name)
    let closed: Extract<RecorderSays, { state: 'closed' }> | null = null
    let problem: string | null = null
    let tellClosed: () => void
    const whenClosed = new Promise<void>((resolve) => {
      tellClosed = resolve
    })
    let stopping: Promise<RecordingSummary> | null = null
    const sum = (read: (recorder: PluginRecorder) => number) =>
      recorders.reduce((total, recorder) => total + read(recorder), 0)

    async function stop(): Promise<RecordingSummary> {
      await options.remove(name).catch((error: HookringError) => {
        // Somebody has taken the plugin out: it ends in the same way.
        if (error.code !== 'PLUGIN_UNKNOWN') throw error
      })
      if (closed === null) await within(whenClosed, options.stopTimeoutMs)
      running.delete(name)
      const { recorded, left } = closed ?? { recorded: recording.recorded, left: 0 }
      const end = { recorded, dropped: recording.dropped, left }
      if (closed === null) problem ??= 'the recorder did not say that it has written everything'
      else {
        await appendFile(file, `${JSON.stringify({ end })}\n`).catch((error: Error) => {
          problem ??= error.message
        })
      }
      return { file, ...end, problem }
    }

    const recording: Recording = {
      file,
      plugin: name,
      get recorded() {
        return closed?.recorded ?? sum(({ verdicts }) => verdicts[VERDICT_INDEX.continue] as number)
      },
      get dropped() {
        return sum(({ failures }) => failures.reduce((total, failed) => total + failed, 0))
      },
      get problem() {
        return problem
      },
      stop() {
        stopping ??= stop()
        return stopping
      },
      async [Symbol.asyncDispose]() {
        await recording.stop()
      },
    }
    running.set(name, {
      recording,
      hear(said) {
        if (said.state === 'closed') {
          closed = said
          tellClosed()
          return
        }
        problem ??= said.message
        logger.warn({ recording: file, dropped: recording.dropped }, `recording has stopped: ${said.message}`)
        // Nothing more can be written: its events need not cross any more.
        void recording.stop().catch(() => {})
      },
    })
    return recording
  }

  return {
    start,
    hears({ plugin, fields }) {
      const said = fields?.[RECORDER_SAYS]
      const heard = said === undefined ? undefined : running.get(plugin)
      if (heard === undefined) return false
      const checked = recorderSaysSchema.safeParse(said)
      if (checked.success) heard.hear(checked.data)
      return true
    },
    async stopAll() {
      await Promise.all([...running.values()].map(({ recording }) => recording.stop()))
    },
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
    // What it is to hold is nobody else's business; and what stands there already may be the recording that matters.
    const handle = await open(file, 'wx', 0o600)
    try {
      await handle.writeFile(`${JSON.stringify(header)}\n`)
    } finally {
      await handle.close()
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'it exists already; name another file, or remove it' : message
    throw new HookringError('OPTIONS_INVALID', `record: ${file} cannot be made: ${why}`, {
      path: ['file'],
      cause: error,
    })
  }
}

type Plans = ReadonlyMap<string, LayoutPlan>

/** By hookpoint. A path names a field of every event that has it, or, behind a hookpoint's name, of that one's. */
function compileRedact(
  plans: Plans,
  redact: readonly string[] | Readonly<Record<string, unknown>>,
): Map<string, RedactedField[]> {
  const found = new Map<string, RedactedField[]>()
  const entries = Array.isArray(redact) ? redact.map((path): [string, unknown] => [path, true]) : Object.entries(redact)
  for (const [path, value] of entries) {
    for (const { hookpoint, parts } of placesOf(plans, path)) {
      const field = value === true ? { parts } : { parts, value: replacementFor(plans, hookpoint, parts, path, value) }
      if (value === true) checkHidden(plans, hookpoint, parts, path)
      found.set(hookpoint, [...(found.get(hookpoint) ?? []), field])
    }
  }
  return found
}

function placesOf(plans: Plans, path: string): { hookpoint: string; parts: string[] }[] {
  const parts = path.split('.')
  const [first, ...rest] = parts as [string, ...string[]]
  const own = plans.get(first)
  if (own !== undefined && nodesAt(own.root, rest).length > 0) return [{ hookpoint: first, parts: rest }]
  const places = [...plans].filter(([, plan]) => nodesAt(plan.root, parts).length > 0)
  if (places.length > 0) return places.map(([hookpoint]) => ({ hookpoint, parts }))
  const known = [...plans].map(([hookpoint, { root }]) => `${hookpoint} (${fieldNames(root).join(', ')})`).join('; ')
  throw new HookringError(
    'OPTIONS_INVALID',
    `record: redact: no event that is recorded has a field ${JSON.stringify(path)}; there are ${known}`,
    { path: ['redact', path] },
  )
}

/** In JSON form. */
function replacementFor(plans: Plans, hookpoint: string, parts: readonly string[], path: string, value: unknown) {
  const plan = plans.get(hookpoint) as LayoutPlan
  for (const node of nodesAt(plan.root, parts)) {
    const check = refinementsOf(plan).get(node)?.check
    if (!fitsNode(node, value) || check?.(value).ok === false) continue
    return createEventWriter({ root: node, fixedBytes: node.fixedBytes })(value)
  }
  throw new HookringError(
    'OPTIONS_INVALID',
    `record: redact: the value given for ${path} is none that ${hookpoint} allows there`,
    { path: ['redact', path], hookpoint },
  )
}

/** A format or pattern does not admit crossed out text: then the operator must say what to write. */
function checkHidden(plans: Plans, hookpoint: string, parts: readonly string[], path: string): void {
  const plan = plans.get(hookpoint) as LayoutPlan
  for (const node of nodesAt(plan.root, parts)) {
    const check = refinementsOf(plan).get(node)?.check
    if (!check || node.kind !== 'string') continue
    const length = Math.min(Math.max(8, node.minLength), node.maxLength)
    if (check('x'.repeat(length)).ok) continue
    throw new HookringError(
      'OPTIONS_INVALID',
      `record: redact: ${path} of ${hookpoint} does not allow x in place of its characters; ` +
        `say what to write, with redact: { ${JSON.stringify(path)}: 'a value that fits' }`,
      { path: ['redact', path], hookpoint },
    )
  }
}
