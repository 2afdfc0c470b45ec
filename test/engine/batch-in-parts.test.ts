/** A list that is larger than an event may be is told in parts; one that is wrong is not. */
import { createHookEngine, type HookringError } from 'hookring'
import { delivery } from 'hookring/contracts'
import { expect, it, onTestFinished } from 'vitest'
import { fixture, silent, until } from '../support/lab.js'

const message = (seq: number, identityBytes = 32) => ({
  senderIdentity: null,
  recipientKey: new Uint8Array(identityBytes),
  channelId: new Uint8Array(16),
  payloadLen: 1,
  seq,
})

async function scene(bulkheads: readonly string[]) {
  const engine = await createHookEngine({
    contract: delivery,
    maxEventBytes: 4096,
    timeoutMs: 10_000,
    logger: silent,
    plugins: bulkheads.map((name) => ({ from: fixture('batches/told.mjs'), name, bulkhead: name })),
  })
  onTestFinished(() => engine.close())
  const errors: HookringError[] = []
  engine.on('error', (error) => void errors.push(error as HookringError))
  return { engine, hooks: engine.hooks, errors }
}

it.each([[['one']], [['one', 'other']]])(
  'a batch of a thousand is told whole and in order to the plugins of %o',
  async (bulkheads) => {
    const { engine, hooks, errors } = await scene(bulkheads)
    hooks.onBatchEnqueue({ events: Array.from({ length: 1000 }, (_, seq) => message(seq)) })
    await engine.flush()
    const verdict = await hooks.onMessageEnqueue(message(0))
    const [batches, events, isInOrder] = JSON.parse((verdict as { reason: string }).reason)
    expect({ events, isInOrder }).toEqual({ events: 1000, isInOrder: true })
    expect(batches).toBeGreaterThan(10)
    expect(errors).toEqual([])
  },
)

it('a batch that is wrong is refused as a whole, whatever its size', async () => {
  const { engine, hooks, errors } = await scene(['one'])
  hooks.onBatchEnqueue({ events: [message(0, 31), ...Array.from({ length: 1000 }, (_, seq) => message(seq))] })
  await engine.flush()
  expect(errors.map(({ code }) => code)).toEqual(['EVENT_INVALID'])
})

it.each([
  ['larger than an event may be', 1000],
  ['small', 2],
])('a batch that is %s is told though the first plugin does not want it', async (_, count) => {
  const engine = await createHookEngine({
    contract: delivery,
    maxEventBytes: 4096,
    timeoutMs: 10_000,
    logger: silent,
    plugins: ['one', 'other'].map((name) => ({
      ...{ from: fixture('batches/told.mjs'), name, bulkhead: name },
      ...(name === 'one' && { match: () => false }),
    })) as never,
  })
  onTestFinished(() => engine.close())
  const errors: HookringError[] = []
  engine.on('error', (error) => void errors.push(error as HookringError))
  engine.hooks.onBatchEnqueue({ events: Array.from({ length: count }, (_, seq) => message(seq)) })
  await engine.flush()
  const verdict = await engine.hooks.onMessageEnqueue(message(0))
  expect(JSON.parse((verdict as { reason: string }).reason)[1]).toBe(count)
  expect(errors).toEqual([])
  engine.hooks.onBatchEnqueue({ events: [message(0, 31)] })
  await until('the error', () => errors.length > 0)
  expect(errors.map(({ code }) => code)).toEqual(['EVENT_INVALID'])
})
