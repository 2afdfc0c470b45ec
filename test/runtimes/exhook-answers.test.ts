/** What a provider answers, whatever bytes it sends: read, or refused by a code. */
import fc from 'fast-check'
import { HookringError } from 'hookring'
import { describe, expect, it } from 'vitest'
import { readBool, readHooks, readMessage } from '../../dist/worker/runtimes/exhook/answers.js'
import { loadWire, type Method } from '../../dist/worker/runtimes/exhook/wire.js'

const wire = await loadWire(3, 'remote')
const method = (subject: string) => wire.get(subject) as Method

/** Bytes that are at times close to a message: fields of the right numbers, with lengths that may lie. */
const answer = fc
  .array(
    fc.oneof(
      fc.tuple(fc.constantFrom(0x08, 0x18), fc.nat({ max: 127 })).map((pair) => [...pair]),
      fc
        .tuple(
          fc.constantFrom(0x0a, 0x12, 0x22, 0x2a, 0x32, 0x42),
          fc.uint8Array({ maxLength: 20 }),
          fc.nat({ max: 3 }),
        )
        .map(([tag, bytes, lie]) => [tag, bytes.length + (lie === 0 ? 1 : 0), ...bytes]),
      fc.uint8Array({ maxLength: 6 }).map((bytes) => [...bytes]),
    ),
    { maxLength: 4 },
  )
  .map((parts) => Buffer.from(parts.flat()))

/** Undefined: the bytes are no message, which the connection says by EVENT_INVALID. */
function decoded(subject: string, bytes: Buffer) {
  try {
    return method(subject).decode(bytes)
  } catch {
    return undefined
  }
}

function read<T>(body: () => T, codes: readonly string[]): T | undefined {
  try {
    return body()
  } catch (error) {
    expect(error).toBeInstanceOf(HookringError)
    expect(codes).toContain((error as HookringError).code)
    return undefined
  }
}

describe('any bytes', () => {
  it('for a valued answer are a bool, nothing, or EVENT_INVALID', () => {
    fc.assert(
      fc.property(answer, (bytes) => {
        const reply = decoded('OnClientAuthenticate', bytes)
        const said = reply && read(() => readBool(reply, 'OnClientAuthenticate'), ['EVENT_INVALID'])
        const found = said?.answer
        if (found !== undefined) expect([typeof found.value, typeof found.isFinal]).toEqual(['boolean', 'boolean'])
      }),
      { numRuns: 2_000 },
    )
  })

  it('for a message are one that can be published, a blocked one, nothing, or EVENT_INVALID', () => {
    fc.assert(
      fc.property(answer, (bytes) => {
        const reply = decoded('OnMessagePublish', bytes)
        const said = reply && read(() => readMessage(reply, 'OnMessagePublish'), ['EVENT_INVALID'])
        const found = said?.answer
        if (found === undefined || found.isBlocked) return
        expect(found.topic).toMatch(/^[^+#\0]+$/)
        expect([0, 1, 2]).toContain(found.qos)
        expect(found.payload).toBeInstanceOf(Uint8Array)
      }),
      { numRuns: 2_000 },
    )
  })

  it('for the hooks that are wanted are hooks of the version, or refused', () => {
    fc.assert(
      fc.property(answer, (bytes) => {
        const reply = decoded('OnProviderLoaded', bytes)
        const mounted = reply && read(() => readHooks(reply, 3, 'it'), ['PROVIDER_HOOK_UNKNOWN', 'PROVIDER_INVALID'])
        for (const subject of mounted?.keys() ?? []) expect(wire.has(subject)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})

it('a topic that is longer than a packet can say is none', () => {
  const message = { topic: 'é'.repeat(32_768), qos: 0, payload: new Uint8Array(), headers: {} }
  const reply = { type: 0, value: 'message', message }
  expect(() => readMessage(reply, 'OnMessagePublish')).toThrow(expect.objectContaining({ code: 'EVENT_INVALID' }))
  const shorter = { ...reply, message: { ...message, topic: 'é'.repeat(32_767) } }
  expect(readMessage(shorter, 'OnMessagePublish')).toMatchObject({ answer: { isBlocked: false }, problem: null })
})
