/**
 * The schemas of the control protocol (control.ts): by them the host checks what a lane says, and a lane what the process
 * behind it says.
 */
import { z } from 'zod/v4'
import { ERROR_CODES, type ErrorCode } from './errors.js'

const text = z.string().max(4096)

/** What a plugin turned out to be, once set up. */
const manifestSchema = z.strictObject({
  /** The name that the plugin gave itself. */
  name: text,
  contract: z.strictObject({ name: text, version: z.number().int() }),
  hooks: z.array(text).max(1024),
})
export type Manifest = z.infer<typeof manifestSchema>

export const loadResultSchema = z.union([
  z.strictObject({ ok: z.literal(true), manifests: z.array(manifestSchema).max(64) }),
  z.strictObject({
    ok: z.literal(false),
    code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
    message: text,
    plugin: text,
    stack: text.optional(),
  }),
])

/** The messages that a lane may send to what the host exposes, as comlink writes them: comlink itself goes where a path leads. */
export const hostCallSchema = z.strictObject({
  id: z.string().max(256),
  type: z.literal('APPLY'),
  path: z.tuple([z.enum(['log', 'lost', 'serve'])]),
  argumentList: z.tuple([z.strictObject({ type: z.literal('RAW'), value: z.unknown() })]),
})

/** A plugin asks for a host service. */
export const serviceCallSchema = z.strictObject({
  /** Its index in the lane's spec. */
  plugin: z.number().int().min(0).max(63),
  service: z.string().max(64),
  /** Serialised by v8. */
  input: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
})
export type ServiceCall = z.infer<typeof serviceCallSchema>
