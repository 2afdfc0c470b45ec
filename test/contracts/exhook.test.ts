/** The contracts exhook@1 to @3: their hookpoints, and events that cross as they should. */
import { type Contract, EXHOOK_RPCS, EXHOOK_VERSIONS, exhook1, exhook2, exhook3 } from 'hookring/contracts'
import { generateEvents } from 'hookring/testing'
import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { laneCodecOf } from '../support/codec-round.js'

const CONTRACTS = { 1: exhook1, 2: exhook2, 3: exhook3 } as const

/** The hook names of version 3, from the protocol. */
const HOOKS = [
  'client.connect client.connack client.connected client.disconnected client.authenticate client.authorize',
  'client.subscribe client.unsubscribe',
  'session.created session.subscribed session.unsubscribed session.resumed session.discarded session.takenover',
  'session.terminated',
  'message.publish message.delivered message.acked message.dropped',
].flatMap((line) => line.split(' '))
const HOOKS_OF_1 = HOOKS.map((hook) => {
  if (hook === 'client.authorize') return 'client.check_acl'
  return hook === 'session.takenover' ? 'session.takeovered' : hook
})

describe.each(EXHOOK_VERSIONS)('exhook@%d', (version) => {
  const contract: Contract = CONTRACTS[version]

  test('has a hookpoint for each RPC, and the three questions are transforms', () => {
    expect(contract.id).toBe(`exhook@${version}`)
    const kinds = Object.entries(contract.hookpoints).map(([name, { kind }]) => `${name} ${kind}`)
    const expected = EXHOOK_RPCS[version].map(
      ({ hookpoint, isValued }) => `${hookpoint} ${isValued ? 'transform' : 'observe'}`,
    )
    expect(kinds).toEqual(expected)
    expect(EXHOOK_RPCS[version].filter(({ isValued }) => isValued)).toHaveLength(3)
  })

  test('names the hooks as its brokers do', () => {
    const names = EXHOOK_RPCS[version].flatMap(({ hook }) => hook ?? [])
    expect([...names].sort()).toEqual([...(version === 1 ? HOOKS_OF_1 : HOOKS)].sort())
  })

  test.each(EXHOOK_RPCS[version].map(({ hookpoint }) => hookpoint))('carries the events of %s whole', (name) => {
    const schema = contract.hookpoints[name]!.event as z.ZodType
    const next = generateEvents(contract, name, { seed: version })
    const codec = laneCodecOf(schema, name)
    for (let count = 0; count < 12; count += 1) {
      const event = next()
      expect(codec.roundTrip(event)).toEqual(schema.parse(event))
    }
  })
})

test('one thing that has two names is one subject in all versions', () => {
  const subjects = EXHOOK_VERSIONS.map((version) => EXHOOK_RPCS[version].map(({ subject }) => subject))
  expect(subjects[0]).toEqual(subjects[2])
  expect(subjects[1]).toEqual(subjects[2])
  expect(EXHOOK_RPCS[1].find(({ rpc }) => rpc === 'OnClientCheckAcl')?.subject).toBe('OnClientAuthorize')
})
