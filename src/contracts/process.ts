/**
 * The process boundary's own words: what a lane's thread is told of the child behind it, what a lane says of a child that it
 * lost, and the schemas by which a lane checks what a child answers. Pure.
 */
import { z } from 'zod/v4'
import { ERROR_CODES, type ErrorCode } from './errors.js'
import type { RuntimeName } from './runtimes.js'

/** How the child of a lane is started; part of the thread's profile, so that a spare has one ready. */
export interface ChildProfile {
  /** The runtimes of its plugins: what they need is what it may read. */
  readonly runtimes: readonly RuntimeName[]
  /** Paths of its plugins' shared libraries, which the system's linker must find as files. */
  readonly libraries: readonly string[]
  /** Of all its plugins together, MiB. */
  readonly memoryMb: number
  /** A call that is past its time by this much ends the child. */
  readonly hangMs: number
  /** Whether it is refused where a part of the sandbox is missing. */
  readonly sandbox: 'required' | 'best-effort'
  readonly env: Readonly<Record<string, string>>
  /** Where its tools are looked for: directories, as in PATH. */
  readonly searchPath: string
}

/** A lane says that what runs its plugins is lost, and itself with it. */
export const laneLossSchema = z.strictObject({
  reason: z.enum(['crash', 'exit', 'memory', 'hang', 'violation']),
  /** The index of the plugin to blame. */
  plugin: z.number().int().min(0).max(63).optional(),
  hookpoint: z.string().max(256).optional(),
  message: z.string().max(8192),
})
export type LaneLoss = z.infer<typeof laneLossSchema>

const text = z.string().max(8192)

/** What a child says of a plugin that it was told to load. */
export const childLoadSchema = z.union([
  z.strictObject({
    ok: z.literal(true),
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]*$/i)
      .max(64),
    /** Indexes of hookpoints. */
    hooks: z.array(z.number().int().min(0).max(65_535)).max(1024),
    onShutdown: z.boolean(),
  }),
  z.strictObject({
    ok: z.literal(false),
    code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
    message: text,
    stack: text.optional(),
  }),
])
export type ChildLoad = z.infer<typeof childLoadSchema>
