/**
 * The doors of a living engine: events, call options, commands, and what lanes say over the control ports. With anything at
 * all, nothing but coded errors comes out.
 */
import type { MessagePort } from 'node:worker_threads'
import fc from 'fast-check'
import { createHookEngine, type HookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import type { ReadBatch } from '../../../dist/contracts/log-batch.js'
import { LaneLink } from '../../../dist/host/lanes/lane-link.js'
import { flags, numbers, pluginSpecs, silent, words } from './option-specs.js'
import { type Target, tryInput, tryLater } from './target.js'
import { anyThing, cloneable, mostly, objectOf, type Thing, thing } from './things.js'

/** An engine whose one plugin says nothing; opened when it is needed. */
function withEngine() {
  let opening: Promise<HookEngine<typeof delivery.hookpoints>> | null = null
  const errors: unknown[] = []
  return {
    errors,
    open() {
      opening ??= createHookEngine({
        contract: delivery,
        logger: silent,
        spares: 0,
        timeoutMs: 60_000,
        hangMs: 60_000,
        plugins: [{ from: new URL(import.meta.resolve('hookring/hooks/noop')) }],
      }).then((engine) => engine.on('error', (error) => errors.push(error)))
      return opening
    },
    async close() {
      await (await opening)?.close()
      opening = null
    },
  }
}

const asked = withEngine()
const message = {
  senderIdentity: null,
  recipientKey: new Uint8Array(32),
  channelId: new Uint8Array(16),
  payloadLen: 1,
  seq: 1n,
}
const calls: Target<[Thing, Thing]> = {
  name: 'events and call options',
  group: 'borders',
  share: 4,
  cases: fc.tuple(
    mostly(
      objectOf({
        senderIdentity: fc.option(fc.uint8Array({ minLength: 30, maxLength: 33 })),
        recipientKey: fc.constant(new Uint8Array(32)),
        channelId: fc.constant(new Uint8Array(16)),
        payloadLen: numbers,
        seq: fc.oneof(fc.bigInt(), numbers),
      }),
    ),
    fc.oneof(
      objectOf({
        timeoutMs: fc.nat(1_000),
        traceId: words,
        signal: fc.constant(thing('a signal', new AbortController().signal)),
        times: fc.constant(thing('times', {})),
      }),
      anyThing,
    ),
  ),
  async check([event, options], tally) {
    const { hooks, flush } = await asked.open()
    await tryLater(tally, () => hooks.onMessageEnqueue(event.value as never, options.value as never))
    await tryLater(tally, () => hooks.onMessageEnqueue(message, options.value as never))
    tryInput(tally, () => hooks.onFetch(event.value as never, options.value as never))
    await flush()
    for (const error of asked.errors.splice(0)) {
      tryInput(tally, () => {
        throw error
      })
    }
  },
  close: asked.close,
}

const managed = withEngine()
const commands: Target<[string, Thing, Thing]> = {
  name: 'add, remove, reload, quarantine, release',
  group: 'borders',
  share: 1,
  cases: fc.tuple(
    fc.constantFrom('add', 'remove', 'reload', 'quarantine', 'release'),
    fc.oneof(pluginSpecs, anyThing),
    anyThing,
  ),
  async check([command, one, two], tally) {
    const engine = await managed.open()
    const door = engine as unknown as Record<string, (...args: unknown[]) => unknown>
    await tryLater(tally, async () => door[command]?.(one.value, two.value))
  },
  close: managed.close,
}

/** Log batches as texts, whole and broken, and texts that are none. */
const logText = fc.oneof(
  fc.string(),
  fc.json({ maxDepth: 12 }),
  fc.integer({ min: 1, max: 200_000 }).map((depth) => `{"lines":${'['.repeat(depth)}`),
  fc
    .record({
      lines: fc.array(
        fc.oneof(
          fc.record({
            level: fc.constantFrom('info', 'error', 'loud'),
            plugin: words,
            message: fc.oneof(
              words,
              fc.integer({ min: 8000, max: 9000 }).map((length) => 'x'.repeat(length)),
            ),
            fields: fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 12 }), { maxKeys: 40 }),
          }),
          fc.jsonValue(),
        ),
        { maxLength: 300 },
      ),
      dropped: fc.oneof(fc.nat(), fc.jsonValue()),
    })
    .map((batch) => JSON.stringify(batch)),
)
const logCall = fc.record({
  id: words,
  type: fc.constant('APPLY'),
  path: fc.constant(['log']),
  argumentList: logText.map((value) => [{ type: 'RAW', value }]),
})

/** Throws where a batch is larger than the host takes. */
function checkBatch({ lines, dropped }: ReadBatch): void {
  if (lines.length > 256 || !Number.isSafeInteger(dropped) || dropped < 0) throw new Error('a batch without bounds')
  for (const { message, fields = {} } of lines) {
    const isSmall = message.length <= 8192 + 64 && Object.keys(fields).length <= 33
    if (!isSmall || Object.values(fields).some((value) => nesting(value) > 6)) throw new Error('a line without bounds')
  }
}

function nesting(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(nesting))
}

/** What a lane may send: to what the host exposes, and as the answer to load. */
const wire = fc.oneof(
  cloneable,
  logCall.map((call) => thing('a call of log', call)),
  objectOf({
    id: words,
    type: fc.constantFrom('APPLY', 'GET', 'SET', 'CONSTRUCT', 'ENDPOINT', 'RELEASE'),
    path: fc.array(fc.constantFrom('log', 'constructor', '__proto__', 'prototype', 'call', 'x'), { maxLength: 4 }),
    argumentList: fc.array(fc.record({ type: fc.constantFrom('RAW', 'HANDLER'), name: words, value: fc.anything() })),
    value: fc.record({ type: fc.constantFrom('RAW', 'HANDLER'), value: fc.anything() }),
  }).filter(({ value }) => isCloneable(value)),
)
const answers = fc.oneof(
  wire,
  objectOf({
    type: fc.constantFrom('RAW', 'HANDLER'),
    name: fc.constantFrom('throw', 'proxy', 'x'),
    value: fc.oneof(
      fc.anything(),
      fc.record({ isError: flags, value: fc.anything() }),
      fc.record({ ok: flags, manifests: fc.array(fc.anything()), code: words, message: words, plugin: words }),
    ),
  }).filter(({ value }) => isCloneable(value)),
)

const control: Target<[Thing[], Thing]> = {
  name: 'control messages',
  group: 'borders',
  share: 3,
  cases: fc.tuple(fc.array(wire, { minLength: 1, maxLength: 20 }), answers),
  async check([messages, answer], tally) {
    const link = new LaneLink()
    const { hostPort, lanePort } = link.ports
    const batches: ReadBatch[] = []
    link.onLog((batch) => void batches.push(batch))
    const wasPolluted = Object.keys(Object.prototype).length
    let fallen: unknown = null
    const fall = (error: unknown) => {
      fallen = error
    }
    process.once('uncaughtException', fall)
    try {
      for (const { value } of messages) {
        hostPort.postMessage(value)
        tally.inputs += 1
      }
      answerNext(lanePort, answer.value)
      await tryLater(tally, () => link.load({} as never, 5_000)).catch((error: Error) => {
        // The supervisor gives what a lane throws its code.
        if (!error.message.startsWith('threw')) throw error
      })
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      link.close()
      hostPort.close()
      lanePort.close()
      process.off('uncaughtException', fall)
    }
    if (fallen !== null) throw fallen
    if (Object.keys(Object.prototype).length !== wasPolluted) throw new Error('Object.prototype has another property')
    batches.forEach(checkBatch)
  },
}

function answerNext(port: MessagePort, answer: unknown): void {
  port.once('message', ({ id }: { id: string }) => {
    const fields = typeof answer === 'object' && answer !== null ? answer : {}
    port.postMessage({ type: 'RAW', ...fields, id })
  })
}

function isCloneable(value: unknown): boolean {
  try {
    structuredClone(value)
    return true
  } catch {
    return false
  }
}

export const LIVE_TARGETS: readonly Target[] = [commands, calls, control] as readonly Target[]
