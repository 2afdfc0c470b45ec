/** One schema, ready to encode and to read, over memory of its own. */
import type { z } from 'zod'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { createEncoder } from '../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import type { LayoutPlan } from '../../dist/contracts/codec/plan.js'
import { createReader } from '../../dist/contracts/codec/read.js'

const ROOM = 256 * 1024

export function codecOf(schema: z.ZodType, name = 'onTest') {
  return codecOfPlan(compileLayout(schema, [name]), name)
}

/** As a lane has it: the plan alone. */
export function laneCodecOf(schema: z.ZodType, name = 'onTest') {
  return codecOfPlan(structuredClone(compileLayout(schema, [name])), name)
}

function codecOfPlan(plan: LayoutPlan, name: string) {
  const memory = codecMemory(new SharedArrayBuffer(ROOM))
  const encoder = createEncoder(plan, { label: name })
  const reader = createReader(plan, { label: name })
  const encode = (value: unknown, limit = ROOM, base = 0) => encoder.encode(memory, base, limit, value)
  return {
    plan,
    memory,
    encoder,
    reader,
    encode,
    /** What a hook is given. */
    open<T = Record<string, unknown>>(value: unknown): T {
      return reader.open(memory, 0, encode(value)) as T
    },
    /** What comes out of a private copy of the encoded bytes. */
    roundTrip(value: unknown): unknown {
      const bytes = encode(value)
      return reader.decode(codecMemory(memory.u8.slice(0, bytes).buffer), 0, bytes)
    },
    parse(bytes: Uint8Array): unknown {
      return reader.parse(codecMemory(new Uint8Array(bytes).buffer), 0, bytes.length)
    },
    decode(bytes: Uint8Array): unknown {
      return reader.decode(codecMemory(new Uint8Array(bytes).buffer), 0, bytes.length)
    },
  }
}

/** The error that `run` throws, as much of it as callers rely on. */
export function refusalOf(run: () => unknown): { code: unknown; message: string; path: unknown } {
  try {
    run()
  } catch (error) {
    const { code, message, path } = error as { code: unknown; message: string; path: unknown }
    return { code, message, path }
  }
  throw new Error('nothing was thrown')
}
