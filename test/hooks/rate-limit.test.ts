import { createHookEngine } from 'hookring'
import { mqtt } from 'hookring/contracts'
import { rateLimit } from 'hookring/hooks'
import { expect, test } from 'vitest'
import { createTokenBuckets } from '../../dist/hooks/token-bucket.js'

test('a bucket refills by rate, in fractions, up to its burst', () => {
  const buckets = createTokenBuckets({ rate: 2, intervalMs: 1_000, burst: 2, maxKeys: 10 })
  const at = (...times: number[]) => times.map((ms) => buckets.take('a', ms))
  expect(at(0, 0, 0)).toEqual([true, true, false])
  expect(at(250, 500, 999, 1_000)).toEqual([false, true, false, true])
  expect(at(60_000, 60_000, 60_000)).toEqual([true, true, false])
})

test('past its bound the bucket that was used longest ago is forgotten', () => {
  const buckets = createTokenBuckets({ rate: 1, intervalMs: 1_000, burst: 1, maxKeys: 2 })
  for (const key of ['a', 'b', 'a', 'c']) buckets.take(key, 0)
  expect(buckets.size).toBe(2)
  expect(buckets.take('a', 0)).toBe(false)
  expect(buckets.take('b', 0)).toBe(true)
})

test('with several lanes each client has its own burst, and no more', async () => {
  await using engine = await createHookEngine({
    contract: mqtt,
    plugins: [rateLimit({ publishRate: 2, intervalMs: 3_600_000 }, { workers: 2 })],
  })
  const publish = (clientId: string) =>
    engine.hooks.onPublishReceived({
      client: { clientId, username: null, remoteAddress: '', protocolVersion: 5, clean: true, keepalive: 0 },
      packet: { topic: 't', payload: new Uint8Array(), qos: 0, retain: false },
    })
  for (const clientId of ['a', 'b', 'c']) {
    const verdicts = await Promise.all(Array.from({ length: 6 }, () => publish(clientId)))
    expect(verdicts.filter(({ kind }) => kind === 'continue')).toHaveLength(4)
    expect(verdicts.find(({ kind }) => kind === 'reject')).toMatchObject({ code: 0x96 })
  }
})
