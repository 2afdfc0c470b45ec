import { delivery } from 'hookring/contracts'
import { payloadLimiter } from 'hookring/hooks'
import limiterModule from 'hookring/hooks/payload-limiter'
import { runInLane, runInline } from 'hookring/testing'
import { expect, test } from 'vitest'
import { lab } from '../fixtures/lab/contract.mjs'
import { GARBAGE } from '../fixtures/lab/garbage.mjs'
import { messageEvent } from '../support/delivery-events.js'
import { fixture, refusalOf } from '../support/lab.js'

const actor = fixture('lab/actor.mjs')

test('a plugin runs in a thread of its own, and what it logs and prints is kept', async () => {
  const lane = await runInLane({ contract: lab, from: actor, name: 'alice' })
  expect(await lane.hooks.onGate({ id: 1, acts: { alice: 'rejects not today' } })).toEqual({
    kind: 'reject',
    reason: 'not today',
    plugin: 'alice',
  })
  lane.hooks.onObserve({ id: 2, acts: { alice: 'tells hello' } })
  lane.hooks.onObserve({ id: 3, acts: { alice: 'prints warn printed' } })
  await lane.flush()
  await lane.close()
  expect(lane.logs).toMatchObject([
    { level: 'info', plugin: 'alice', message: 'hello', fields: { id: 2 } },
    { level: 'warn', plugin: 'alice', message: 'printed', fields: {} },
  ])
  expect(lane.logs[0]?.fields).not.toHaveProperty('bulkhead')
})

test('operator and engine options are passed on, and failures are what a server would see', async () => {
  await using lane = await runInLane({
    contract: lab,
    from: actor,
    name: 'bob',
    onFailure: 'allow',
    timeoutMs: 20,
    engine: { quarantine: false },
  })
  const verdict = await lane.hooks.onGate({ id: 1, acts: { bob: 'pends' } })
  expect(verdict).toMatchObject({ kind: 'continue', failure: { kind: 'timeout', plugin: 'bob', hookpoint: 'onGate' } })
  expect(lane.plugins).toMatchObject([{ name: 'bob', state: 'active' }])
})

test('a plugin that does not load is refused with the code of an engine', async () => {
  expect(await refusalOf(runInLane({ contract: lab, from: fixture('lab/nowhere.mjs') }))).toMatchObject({
    code: 'PLUGIN_NOT_FOUND',
  })
})

test('inline and in a lane, a plugin says the same', async () => {
  await using lane = await runInLane({ contract: delivery, ...payloadLimiter({ maxBytes: 10 }) })
  await using inline = await runInline(limiterModule, { contract: delivery, config: { maxBytes: 10 } })
  for (const payloadLen of [10, 11]) {
    const event = messageEvent({ payloadLen })
    expect(await inline.hooks.onMessageEnqueue(event)).toEqual(await lane.hooks.onMessageEnqueue(event))
  }
})

const POINTS = ['onGate', 'onTransform', 'onRespond'] as const

test('whatever a hook returns, inline and in a lane the same is said of it', async () => {
  await using lane = await runInLane({ contract: lab, from: actor, timeoutMs: 10_000, engine: { quarantine: false } })
  await using inline = await runInline((await import(actor.href)) as never, { contract: lab, timeoutMs: 10_000 })
  for (const garbage of Object.keys(GARBAGE)) {
    for (const point of POINTS) {
      const event = { id: 1, acts: { actor: `returns ${garbage}` } }
      const ask = (run: typeof lane | typeof inline) => run.hooks[point](event, {}) as Promise<unknown>
      const [inLane, alone] = await Promise.all([outcomeOf(ask(lane)), outcomeOf(ask(inline))])
      if (typeof alone === 'string') expect(inLane, `${garbage} at ${point}`).toContain(alone)
      else expect(alone, `${garbage} at ${point}`).toEqual(inLane)
    }
  }
})

/** A verdict, or what is said of the failure to give one. */
async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  try {
    const verdict = (await call) as { failure?: { message: string } }
    return verdict.failure?.message ?? verdict
  } catch (error) {
    return (error as Error).message
  }
}
