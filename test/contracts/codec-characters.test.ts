/** Lengths of text are counted as zod counts them: in characters (code points), not in UTF-16 units. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { compileLayout } from '../../dist/contracts/codec/compile.js'
import { createEncoder } from '../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import { createReader } from '../../dist/contracts/codec/read.js'

const memory = codecMemory(new ArrayBuffer(4096))

function isAccepted(schema: z.ZodType, event: unknown): boolean {
  const plan = compileLayout(schema, ['onText'])
  const anything = compileLayout(z.object({ text: z.string(), padding: z.string() }).partial({ padding: true }), [
    'onText',
  ])
  // A lane that lies about lengths is found out in the same way.
  const bytes = createEncoder(anything).encode(memory, 0, 4096, event)
  const isDecoded = !throws(() => createReader(plan).decode(memory, 0, bytes))
  const isEncoded = !throws(() => createEncoder(plan).encode(memory, 0, 4096, event))
  if (isDecoded !== isEncoded) throw new Error('encoder and decoder do not agree')
  return isEncoded
}

function throws(body: () => unknown): boolean {
  try {
    body()
    return false
  } catch {
    return true
  }
}

const TEXTS = ['', 'a', 'ab', 'abc', '🙂', '🙂🙂', '🙂🙂🙂', 'a🙂', 'a🙂b', 'abcd', 'ab🙂cd', '👩‍🚀', 'e\u0301']

describe('the length of a text', () => {
  it.each([
    ['min(2)', z.string().min(2)],
    ['max(3)', z.string().max(3)],
    ['length(2)', z.string().length(2)],
    ['min(1).max(2)', z.string().min(1).max(2)],
    ['min(3).max(5)', z.string().min(3).max(5)],
  ])('%s is what zod takes it for', (_, text) => {
    const schema = z.object({ text, padding: z.string().optional() })
    const taken = TEXTS.filter((text) => isAccepted(schema, { text }))
    expect(taken).toEqual(TEXTS.filter((text) => schema.safeParse({ text }).success))
  })

  it('is said in characters when it is wrong', () => {
    const encoder = createEncoder(compileLayout(z.string().max(2), ['onText']))
    expect(() => encoder.encode(memory, 0, 4096, '🙂🙂🙂')).toThrow(/must be .*2 characters long, got 3/)
  })
})
