/**
 * Reads recordings back: for tests, `hookring bench --replay` and `hookring check --replay`. A line at a time, so that
 * the size of the file does not matter; runs wherever it is called.
 */
import { createReadStream } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { safeParse } from '../contracts/ask-schema.js'
import type { Contract, EventInput, Hookpoints } from '../contracts/contract.js'
import { HookringError } from '../contracts/errors.js'
import { createEventJsonReader } from '../contracts/recording/event-json.js'
import {
  RECORDING_VERSION,
  type RecordingHeader,
  recordedLineSchema,
  recordingEndSchema,
  recordingHeaderSchema,
} from '../contracts/recording/format.js'
import { holdsSecret, shownIssue } from '../contracts/secret.js'

export interface ReplayOptions<Points extends Hookpoints, Name extends keyof Points & string> {
  /** What was recorded must be of this contract, in this version. */
  contract: Contract<Points>
  /** Gives the events of this hookpoint alone. */
  hookpoint?: Name | undefined
  /** A file whose end is missing, since its process died, is read as far as it goes. Default false: that is an error. */
  allowTruncated?: boolean | undefined
}

/** One call of those that were recorded. */
export type RecordedEvent<Points extends Hookpoints, Name extends keyof Points & string = keyof Points & string> = {
  [Key in Name]: {
    readonly hookpoint: Key
    readonly event: EventInput<Points[Key]>
    /** Milliseconds since the recording began. */
    readonly atMs: number
    readonly traceId: string | undefined
    /** Of the file, from 1. */
    readonly line: number
  }
}[Name]

/** The longest line: an event of the largest size that an engine takes, as text, and a bit. */
const MAX_LINE_BYTES = 128 * 1024 * 1024

/**
 * The events of a recording, in the order in which they were recorded, each checked by the contract.
 *
 * @throws HookringError RECORDING_INVALID, naming the file and the line, for a file that does not exist, is none of ours,
 * is damaged or truncated, or is of another contract; what stood before that line has been given by then.
 * HOOKPOINT_UNKNOWN.
 */
export async function* replayEvents<Points extends Hookpoints, Name extends keyof Points & string>(
  file: string | URL,
  options: ReplayOptions<Points, Name>,
): AsyncGenerator<RecordedEvent<Points, Name>, void, undefined> {
  const { contract, hookpoint: only, allowTruncated = false } = options
  if (only !== undefined && !Object.hasOwn(contract.hookpoints, only)) {
    const known = Object.keys(contract.hookpoints).join(', ')
    throw new HookringError('HOOKPOINT_UNKNOWN', `${contract.id} has no hookpoint ${only}; it has ${known}`, {
      hookpoint: only,
    })
  }
  const path = file instanceof URL ? fileURLToPath(file) : file
  const readers = new Map<string, EventReader>()
  let header: RecordingHeader | null = null
  let isEnded = false
  let number = 0

  for await (const { text, isWhole } of linesOf(path)) {
    number += 1
    const where = `${path}:${number}`
    if (header === null) {
      header = readHeader(text, isWhole, where, contract)
      continue
    }
    if (isEnded) throw invalid(where, 'something stands behind its end')
    if (!isWhole) {
      if (allowTruncated) return
      throw invalid(where, `the line is cut off; the ${number - 1} before it are whole`)
    }
    const json = parseJson(text, where)
    if (recordingEndSchema.safeParse(json).success) {
      isEnded = true
      continue
    }
    const line = recordedLineSchema.safeParse(json)
    if (!line.success) throw invalid(where, 'it is no recorded event')
    const { hookpoint, event, at, traceId } = line.data
    if (only !== undefined && hookpoint !== only) continue
    const read = readers.get(hookpoint) ?? readerFor(contract, hookpoint, header)
    readers.set(hookpoint, read)
    yield {
      hookpoint,
      event: read(event, where),
      atMs: at,
      traceId,
      line: number,
    } as RecordedEvent<Points, Name>
  }
  if (header === null) throw invalid(`${path}:1`, 'the file is empty')
  if (!isEnded && !allowTruncated) {
    throw invalid(`${path}:${number + 1}`, 'its end is missing: the process has died, or the file is cut')
  }
}

type EventReader = (json: unknown, where: string) => unknown

function readerFor(contract: Contract, hookpoint: string, { redacted }: RecordingHeader): EventReader {
  const point = Object.hasOwn(contract.hookpoints, hookpoint) ? contract.hookpoints[hookpoint] : undefined
  if (point === undefined) {
    return (_, where) => {
      throw invalid(where, `${contract.id} has no hookpoint ${hookpoint}`)
    }
  }
  const read = createEventJsonReader(point.plan)
  const hint = redacted.length === 0 ? '' : ` (what was redacted: ${redacted.join(', ')})`
  return (json, where) => {
    let event: unknown
    try {
      event = read(json)
    } catch (error) {
      throw invalid(where, `the event does not fit ${hookpoint}: ${(error as Error).message}`, error)
    }
    const checked = safeParse(point.event, event)
    if (checked.success) return event
    const { path, message } = shownIssue(point.event, checked.error.issues[0] ?? { path: [], message: 'invalid' })
    const at = path.length === 0 ? '' : `${path.join('.')}: `
    const cause = holdsSecret(point.event) ? undefined : checked.error
    throw invalid(where, `the event does not fit ${hookpoint}: ${at}${message}${hint}`, cause)
  }
}

function readHeader(text: string, isWhole: boolean, where: string, contract: Contract): RecordingHeader {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    const isCut = !isWhole && text.startsWith('{"hookring":"recording"')
    throw invalid(where, isCut ? 'the file is cut off in its first line' : 'it is no recording of hookring')
  }
  const { hookring, version } = (json ?? {}) as { hookring?: unknown; version?: unknown }
  if (hookring !== 'recording') throw invalid(where, 'it is no recording of hookring')
  if (version !== RECORDING_VERSION) {
    throw invalid(where, `it is of version ${String(version)}, this hookring reads version ${RECORDING_VERSION}`)
  }
  const header = recordingHeaderSchema.safeParse(json)
  if (!header.success) throw invalid(where, 'the first line of the recording is damaged')
  const { contract: recorded } = header.data
  if (recorded.name !== contract.name || recorded.version !== contract.version) {
    throw invalid(where, `it was recorded for ${recorded.name}@${recorded.version}, and is asked for ${contract.id}`)
  }
  return header.data
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid(where, 'the line is no JSON: the file is damaged', error)
  }
}

function invalid(where: string, what: string, cause?: unknown): HookringError {
  return new HookringError('RECORDING_INVALID', `recording ${where}: ${what}`, { cause })
}

/** Lines without their newline; `isWhole` is false for a last one that has none. */
async function* linesOf(path: string): AsyncGenerator<{ text: string; isWhole: boolean }> {
  let parts: Buffer[] = []
  let length = 0
  let number = 1
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      let from = 0
      for (let newline = chunk.indexOf(0x0a); newline !== -1; newline = chunk.indexOf(0x0a, from)) {
        parts.push(chunk.subarray(from, newline))
        yield { text: Buffer.concat(parts).toString(), isWhole: true }
        number += 1
        parts = []
        length = 0
        from = newline + 1
      }
      if (from < chunk.length) parts.push(chunk.subarray(from))
      length += chunk.length - from
      if (length > MAX_LINE_BYTES) throw invalid(`${path}:${number}`, `the line is longer than ${MAX_LINE_BYTES} bytes`)
    }
  } catch (error) {
    if (error instanceof HookringError) throw error
    throw invalid(path, `it cannot be read: ${(error as Error).message}`, error)
  }
  if (length > 0) yield { text: Buffer.concat(parts).toString(), isWhole: false }
}
