/** What happens to calls whose time is up, and to those of a lane that is given up. Lanes are stand-ins. */
import { describe, expect, it } from 'vitest'
import { Expiry } from '../../../dist/host/calls/expiry.js'
import { Hops } from '../../../dist/host/calls/hops.js'
import { Selection } from '../../../dist/host/calls/selection.js'
import { ensureRare } from '../../../dist/host/model/call.js'
import { createScene, type LaneStandIn, type SceneOptions, TIMEOUT_MS } from '../../support/call-stand-ins.js'

const BEGAN_MS = 1_000

function open(options: SceneOptions, { lostMs = 0 } = {}) {
  const scene = createScene(options)
  const emitted: unknown[][] = []
  const emit = (name: string, ...args: unknown[]) => emitted.push([name, ...args])
  const watched: number[] = []
  const deadlines = { watch: (call: { dueMs: number }) => watched.push(call.dueMs), forget() {} }
  const hops = new Hops({
    maxEventBytes: 1_024,
    deadlines,
    pump: { submitted() {} },
    emit,
    selection: new Selection(() => 0),
  } as never)
  const expiry = new Expiry({
    ...{ hops, emit, deadlines },
    completion: { salvage() {} },
    lostMsSince: () => lostMs,
  } as never)
  const { call, settled } = scene.call()
  hops.start(call, {})
  call.tripMs = BEGAN_MS
  const lane = call.lane as LaneStandIn
  if (lane !== null) lane.enteredMs = BEGAN_MS + 1
  return { ...scene, call, settled, expiry, lane, watched, emitted }
}

describe('a call in a lane', () => {
  it('times out when its plugin has had its time, and the plugin is named and blamed', async () => {
    const { call, settled, expiry, lane, plugins } = open({ plugins: [{ name: 'a' }] })
    expiry.expire(call, BEGAN_MS + TIMEOUT_MS)
    const { failure } = (await settled) as { failure: object }
    expect(failure).toMatchObject({ kind: 'timeout', plugin: 'a', waitedMs: 1, ranMs: TIMEOUT_MS - 1 })
    expect(failure).not.toHaveProperty('cutShortBy')
    expect(plugins[0]!.breaker.state).toBe('open')
    expect(lane.isLate).toBe(true)
  })

  it('is looked at again when nothing is late yet', () => {
    const { call, expiry, watched } = open({ plugins: [{ name: 'a' }] })
    expiry.expire(call, BEGAN_MS + 60)
    expect(call.isSettled).toBe(false)
    expect(watched).toEqual([BEGAN_MS + TIMEOUT_MS])
  })

  it('gets back the time for which the process stood still', () => {
    const { call, expiry, watched } = open({ plugins: [{ name: 'a' }] }, { lostMs: 5_000 })
    expiry.expire(call, BEGAN_MS + 5_050)
    expect(call.isSettled).toBe(false)
    expect(watched).toEqual([BEGAN_MS + 5_000 + TIMEOUT_MS])
  })

  it('ends at its caller’s limit, which is not the plugin’s failure', async () => {
    const { call, settled, expiry, plugins } = open({ plugins: [{ name: 'a' }] })
    ensureRare(call).capMs = BEGAN_MS + 20
    expiry.expire(call, BEGAN_MS + 20)
    expect(await settled).toMatchObject({ failure: { kind: 'timeout', cutShortBy: 'caller', ranMs: 19 } })
    expect(plugins[0]!.breaker.state).toBe('closed')
  })

  it('that the lane has not begun is taken back, and nobody is blamed', async () => {
    const { call, settled, expiry, lane, plugins } = open({ plugins: [{ name: 'a' }] })
    lane.isClaimed = false
    expiry.expire(call, BEGAN_MS + TIMEOUT_MS)
    expect(await settled).toMatchObject({ failure: { kind: 'timeout', cutShortBy: 'waiting', ranMs: 0 } })
    expect(plugins[0]!.breaker.state).toBe('closed')
    expect(lane.isLate).toBe(false)
  })

  it('gives a later plugin of the trip its own time from when it was entered', async () => {
    const { call, settled, expiry, lane, watched } = open({ plugins: [{ name: 'a' }, { name: 'b' }] })
    lane.doneMask = 0b1
    lane.enteredMs = BEGAN_MS + 90
    expiry.expire(call, BEGAN_MS + TIMEOUT_MS)
    expect(watched).toEqual([BEGAN_MS + 190])
    expiry.expire(call, BEGAN_MS + 190)
    expect(await settled).toMatchObject({ failure: { kind: 'timeout', plugin: 'b' } })
  })

  it('that began a moment after the time of judgement has not waited a negative time', async () => {
    const { call, settled, expiry, lane } = open({ plugins: [{ name: 'a' }] })
    lane.isClaimed = false
    ensureRare(call).capMs = BEGAN_MS - 5
    expiry.expire(call, BEGAN_MS - 1)
    expect(await settled).toMatchObject({ failure: { waitedMs: 0, cutShortBy: 'caller' } })
  })
})

describe('a call that waits', () => {
  it('times out, and nobody is blamed', async () => {
    const { call, settled, expiry, plugins } = open({ plugins: [{ name: 'a' }], hasRoom: false, maxQueue: 1 })
    expiry.expire(call, BEGAN_MS + TIMEOUT_MS)
    expect(await settled).toMatchObject({ failure: { kind: 'timeout', cutShortBy: 'waiting' } })
    expect(plugins[0]!.breaker.state).toBe('closed')
    expect(call.isWaiting).toBe(false)
  })
})

describe('a lane that is given up', () => {
  it('fails the call whose hook hung as a timeout, and resumes after it if that is allowed', () => {
    const { call, expiry, lane, submitted } = open({ plugins: [{ name: 'a', onFailure: 'allow' }, { name: 'b' }] })
    expiry.loseLane(lane, 'hang', 'it hung', BEGAN_MS + 500)
    expect(call.rare.failure).toMatchObject({ kind: 'timeout', plugin: 'a' })
    expect(submitted[1]).toEqual({ bulkhead: 'shared', plugins: ['b'] })
  })

  it('in which nobody is seen to run is the failure of the only plugin that its calls were at', async () => {
    const { settled, expiry, lane } = open({ plugins: [{ name: 'a' }, { name: 'b' }] })
    ;(lane.ring as unknown as { runningSlot(): number }).runningSlot = () => -1
    expiry.loseLane(lane, 'crash', 'its thread ended', BEGAN_MS + 10)
    const { failure } = (await settled) as { failure: object }
    expect(failure).toMatchObject({ kind: 'crash', plugin: 'a' })
    expect(failure).not.toHaveProperty('cutShortBy')
  })

  it('because its worker broke the protocol is the failure of each of its plugins', async () => {
    const { settled, expiry, lane, plugins } = open({ plugins: [{ name: 'a' }, { name: 'b' }] })
    ;(lane.ring as unknown as { runningSlot(): number }).runningSlot = () => -1
    expiry.loseLane(lane, 'violation', 'it lied', BEGAN_MS + 10)
    const { failure } = (await settled) as { failure: object }
    expect(failure).toMatchObject({ kind: 'crash', plugin: 'a' })
    expect(failure).not.toHaveProperty('cutShortBy')
    expect(plugins[0]!.breaker.state).toBe('open')
  })

  it('reports an observation that it had begun as undelivered', () => {
    const { expiry, lane, emitted } = open({ kind: 'observe', plugins: [{ name: 'a' }] })
    expiry.loseLane(lane, 'crash', 'its thread ended', BEGAN_MS + 10)
    expect(emitted).toMatchObject([['deadLetter', { plugin: 'a', reason: 'crash', event: 'the event' }]])
  })
})

describe('an engine that closes', () => {
  it('refuses the calls that it does not wait for any longer', async () => {
    const { call, settled, expiry } = open({ plugins: [{ name: 'a' }] })
    expiry.giveUp(call)
    expect(await settled).toMatchObject({ code: 'ENGINE_CLOSED' })
  })
})
