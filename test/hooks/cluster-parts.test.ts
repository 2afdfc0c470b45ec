/** Parts of the cluster hook that need no Redis. */
import { expect, onTestFinished, test } from 'vitest'
import { keysOf } from '../../dist/hooks/cluster/keys.js'
import { OwedWrites } from '../../dist/hooks/cluster/owed.js'
import { Inbox } from '../../dist/hooks/redis/inbox.js'
import { silent, until } from '../support/lab.js'

test('no topic, filter or client has the key of an index', () => {
  const keys = keysOf('mqtt:')
  for (const name of ['_idx', '_log', '__idx']) {
    for (const key of [keys.retained(name), keys.route(name), keys.session(name), keys.node(name)]) {
      expect([keys.retainedIndex, keys.routeIndex, keys.routeLog, keys.sessionIndex, keys.nodeIndex]).not.toContain(key)
    }
  }
  expect([keys.retained('a/_idx'), keys.route('+/#')]).toEqual(['mqtt:retained:a/_idx', 'mqtt:route:+/#'])
})

test('what fails while Redis is away is written in its order when it is back', async () => {
  let isThere = false
  const written: number[] = []
  const owed = new OwedWrites({ log: silent, isThere: () => isThere })
  onTestFinished(() => owed.close())
  const write = (value: number) =>
    owed.write(async () => {
      if (!isThere) throw new Error('away')
      written.push(value)
    })
  for (const value of [1, 2]) await write(value)
  isThere = true
  await write(3)
  await owed.pay()
  await write(4)
  expect(written).toEqual([1, 2, 3, 4])
})

test('a write that fails though Redis is there is given up, and said', async () => {
  const said: string[] = []
  const owed = new OwedWrites({ log: { ...silent, warn: (message) => void said.push(message) }, isThere: () => true })
  onTestFinished(() => owed.close())
  const written: string[] = []
  await owed.write(() => Promise.reject(new Error('of the wrong type')))
  await owed.write(async () => written.push('next'))
  await until('it to be tried again', () => written.length === 1)
  expect(said).toHaveLength(1)
})

test('messages from other nodes are handed on in order, some at once, and past the bound dropped and counted', async () => {
  const published: string[] = []
  const waiting: (() => void)[] = []
  const dropped: unknown[] = []
  const inbox = new Inbox({
    publish: ({ topic }) => {
      published.push(topic)
      return new Promise<void>((resolve) => waiting.push(resolve))
    },
    log: { ...silent, warn: (_message, fields) => void dropped.push(fields) },
  })
  const packet = (topic: string) => ({ topic, payload: new Uint8Array(), qos: 0 as const, retain: true })
  for (let index = 0; index < 10_032; index += 1) expect(inbox.add(packet(String(index)))).toBe(true)
  expect(published).toHaveLength(32)
  expect(inbox.add(packet('too many'))).toBe(false)
  expect(dropped).toEqual([{ dropped: 1 }])
  while (published.length < 100) {
    for (const done of waiting.splice(0)) done()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(published.slice(0, 100)).toEqual(Array.from({ length: 100 }, (_, index) => String(index)))
})
