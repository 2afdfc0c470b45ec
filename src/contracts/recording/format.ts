/**
 * The file of a recording: newline-delimited JSON. Agreed between the host, which begins and ends the file, the recorder's
 * lane, which writes its events, and whoever replays it.
 *
 *   {"hookring":"recording","version":1,"contract":{"name":"delivery","version":1},"hookpoints":["onAuth"],...}
 *   {"at":12.345,"hookpoint":"onAuth","event":{...}}          `at`: milliseconds from startedAt until the recorder saw it
 *   {"end":{"recorded":1,"dropped":0,"left":0}}               missing when the process ended without stopping
 */
import { z } from 'zod/v4'
import type { LayoutPlan } from '../codec/plan.js'
import type { RedactedField } from './redaction.js'

export const RECORDING_VERSION = 1

export const recordingHeaderSchema = z.object({
  hookring: z.literal('recording'),
  version: z.int(),
  contract: z.object({ name: z.string(), version: z.int() }),
  hookpoints: z.array(z.string()),
  /** ISO 8601, in UTC. */
  startedAt: z.string(),
  sample: z.number(),
  redacted: z.array(z.string()),
})
export type RecordingHeader = z.infer<typeof recordingHeaderSchema>

export const recordedLineSchema = z.strictObject({
  at: z.number(),
  hookpoint: z.string(),
  traceId: z.string().optional(),
  event: z.unknown(),
})

export const recordingEndSchema = z.strictObject({
  end: z.object({
    recorded: z.int(),
    /** The recorder's lane could not take them. */
    dropped: z.int(),
    /** Came after the file was full, or could not be written any more. */
    left: z.int(),
  }),
})

export const recordOptionsSchema = z.strictObject({
  hookpoints: z.array(z.string()).min(1).optional(),
  sample: z.number().gt(0).max(1).default(1),
  redact: z.union([z.array(z.string().min(1)), z.record(z.string().min(1), z.unknown())]).default([]),
  reveal: z.array(z.string().min(1)).default([]),
  maxBytes: z
    .number()
    .int()
    .min(4096)
    .max(Number.MAX_SAFE_INTEGER)
    .default(256 * 1024 * 1024),
})

/** What the recorder plugin is told; plain data, from this package to itself. */
export interface RecorderConfig {
  readonly file: string
  readonly startedAtMs: number
  readonly maxBytes: number
  readonly hookpoints: readonly {
    readonly name: string
    readonly plan: LayoutPlan
    readonly redacted: readonly RedactedField[]
  }[]
}

/** How a recorder speaks to its host: the field of a log line that is not logged. */
export const RECORDER_SAYS = 'hookring.recorder'

export const recorderSaysSchema = z.union([
  z.strictObject({ state: z.enum(['full', 'failed']), message: z.string() }),
  /** It is closed: lines that stand in the file, and those that came when it was full or had failed. */
  z.strictObject({ state: z.literal('closed'), recorded: z.int(), left: z.int() }),
])
export type RecorderSays = z.infer<typeof recorderSaysSchema>
