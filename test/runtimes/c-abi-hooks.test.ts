/** What a plugin behind the C ABI sees, says and goes through: the same plugin as WebAssembly and as a shared library. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createHookEngine } from 'hookring'
import {
  type AuthEvent,
  type ChannelEvent,
  delivery,
  type FetchEvent,
  type MessageEvent,
  type UserEvent,
} from 'hookring/contracts'
import { generateEvents } from 'hookring/testing'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { lab } from '../fixtures/lab/contract.mjs'
import { refusalOf, silent, until } from '../support/lab.js'
import { ACTS, because, compileLibrary, hex, message, missing, open, type Scene, scratch } from './c-abi-plugins.js'

const EVENTS = 150
const SIZE_MAX = { wasm: 2 ** 32 - 1, native: Number.MAX_SAFE_INTEGER }
const uncompiled = missing('cc', 'koffi')

for (const [runtime, reason] of [
  ['wasm', null],
  ['native', uncompiled],
] as const) {
  describe.skipIf(reason !== null)(because(`a plugin of runtime ${runtime}`, reason), () => {
    let file = ''
    const trail = join(scratch(), 'trail')
    beforeAll(() => {
      file = runtime === 'wasm' ? ACTS.wasm : compileLibrary({ source: ACTS.source, defines: { TRAIL: `"${trail}"` } })
    })
    const acts = async () => open({ plugins: [{ from: file }] })
    const shown = async ({ hooks }: Scene) => {
      const verdict = await hooks.onMessageEnqueue(message('showsLast'))
      return verdict.kind === 'reject' ? verdict.reason : verdict
    }
    /** A size that the machine can say. */
    const size = (length: number) => Math.min(length, SIZE_MAX[runtime])
    const text = (value: string) => {
      const bytes = Buffer.from(value)
      return `${bytes.subarray(0, 200).toString()}/${bytes.length}`
    }

    describe('sees', () => {
      it('each field of a message', async () => {
        const { hooks } = await acts()
        const next = generateEvents(delivery, 'onMessageEnqueue', { seed: 4 })
        for (let i = 0; i < EVENTS; i++) {
          const event = { ...(next() as MessageEvent), seq: 15n }
          const { senderIdentity, recipientKey, channelId, payloadLen, seq } = event
          expect(await hooks.onMessageEnqueue(event)).toEqual({
            kind: 'reject',
            plugin: 'acts',
            reason: `${hex(senderIdentity)} ${hex(recipientKey)} ${hex(channelId)} ${size(payloadLen)} ${seq}`,
          })
        }
      })

      it('a sequence number of 64 bits, and no sender where the sender is sealed', async () => {
        const scene = await acts()
        const event = { ...message('shows'), senderIdentity: null, seq: 2n ** 64n - 1n }
        scene.hooks.onBatchEnqueue({ events: [event] })
        expect(await shown(scene)).toBe(
          `batch of 1, the last null/0 ${hex(event.recipientKey)} ${hex(event.channelId)} 0 18446744073709551615!`,
        )
      })

      it.each([0, 1, 2, 7, 5000])('a batch of %i messages, one behind the other', async (count) => {
        const scene = await acts()
        const events = Array.from({ length: count }, (_, i) => ({
          ...message('continues', i),
          senderIdentity: i % 3 === 0 ? null : new Uint8Array(32).fill(i),
          recipientKey: new Uint8Array(32).fill(i),
          seq: i,
        }))
        scene.hooks.onBatchEnqueue({ events })
        const last = events.at(-1)
        const told =
          last === undefined
            ? ''
            : `, the last ${hex(last.senderIdentity)} ${hex(last.recipientKey)} ${hex(last.channelId)} ${count - 1} ${count - 1}`
        expect(await shown(scene)).toBe(`batch of ${count}${told}`)
      })

      it('each field of a login attempt, its strings null-terminated', async () => {
        const scene = await acts()
        const next = generateEvents(delivery, 'onAuth', { seed: 4 })
        for (let i = 0; i < EVENTS; i++) {
          const event = next() as AuthEvent
          const [username, failureReason] = [event.username.slice(0, 100), event.failureReason.slice(0, 100)]
          scene.hooks.onAuth({ ...event, username, failureReason })
          const wanted = `auth ${text(username)} ${event.success ? 'ok' : 'failed'} ${text(failureReason)}`
          // The reason ends at the first null; what the plugin saw of the name does not.
          expect(await shown(scene)).toBe(cut(wanted.split('\0')[0] as string))
        }
      })

      it('a name of 200,000 bytes, as long as it is', async () => {
        const scene = await acts()
        const username = 'ü'.repeat(100_000)
        scene.hooks.onAuth({ username, success: true, failureReason: '' })
        expect(await shown(scene)).toBe(cut(`auth ${text(username)} ok /0`))
        scene.hooks.onAuth({ username: 'ada', success: false, failureReason: 'wrong password' })
        expect(await shown(scene)).toBe('auth ada/3 failed wrong password/14')
      })

      it('each field of a channel', async () => {
        const scene = await acts()
        const next = generateEvents(delivery, 'onChannelCreated', { seed: 4 })
        for (let i = 0; i < EVENTS; i++) {
          const event = next() as ChannelEvent
          event.channelId[0] = 1
          scene.hooks.onChannelCreated(event)
          const { channelId, initiatorKey, peerKey, wasNew } = event
          const keys = `${hex(channelId)} ${hex(initiatorKey)} ${hex(peerKey)}`
          expect(await shown(scene)).toBe(`channel ${keys} ${wasNew ? 'new' : 'found'}`)
        }
      })

      it('each field of a fetch', async () => {
        const scene = await acts()
        const next = generateEvents(delivery, 'onFetch', { seed: 4 })
        for (let i = 0; i < EVENTS; i++) {
          const event = next() as FetchEvent
          event.channelId[0] = 1
          scene.hooks.onFetch(event)
          const { recipientKey, channelId, messageCount } = event
          expect(await shown(scene)).toBe(`fetch ${hex(recipientKey)} ${hex(channelId)} ${size(messageCount)}`)
        }
      })

      it('each argument of a registration', async () => {
        const scene = await acts()
        const next = generateEvents(delivery, 'onUserRegistered', { seed: 4 })
        for (let i = 0; i < EVENTS; i++) {
          const event = next() as UserEvent
          const username = event.username.slice(0, 100)
          scene.hooks.onUserRegistered({ ...event, username })
          expect(await shown(scene)).toBe(
            cut(`user ${text(username)} ${hex(event.identityKey)}`.split('\0')[0] as string),
          )
        }
      })
    })

    describe('says', () => {
      it('by 0 that the message may pass', async () => {
        const { hooks } = await acts()
        expect(await hooks.onMessageEnqueue(message('continues'))).toEqual({ kind: 'continue' })
        expect(await hooks.onMessageEnqueue(message('returns', 1000))).toEqual({ kind: 'continue' })
      })

      it.each([-1000, -1, 1, 2, 2 ** 31 - 1001])('by %i that it must not', async (code) => {
        const { hooks } = await acts()
        expect(await hooks.onMessageEnqueue(message('returns', code + 1000))).toEqual({
          kind: 'reject',
          plugin: 'acts',
          reason: 'acts: returned another code',
        })
      })

      it.each(['rejectsWithoutReason', 'emptyReason'] as const)(
        'no reason (%s), and the plugin is named',
        async (act) => {
          const { hooks } = await acts()
          expect(await hooks.onMessageEnqueue(message(act))).toEqual({
            kind: 'reject',
            plugin: 'acts',
            reason: 'rejected by plugin acts',
          })
        },
      )

      it('a reason without an end, which is cut', async () => {
        const { hooks } = await acts()
        const verdict = await hooks.onMessageEnqueue(message('longReason'))
        expect(verdict).toMatchObject({ kind: 'reject', reason: expect.stringMatching(/^l{300,}… \(4096 bytes\)$/) })
      })

      it('a reason that is no UTF-8, which is mended', async () => {
        const { hooks } = await acts()
        expect(await hooks.onMessageEnqueue(message('badUtf8'))).toMatchObject({ reason: 'bad \ufffd\ufffd( utf-8' })
      })
    })

    describe('goes', () => {
      it('by the operator’s name for it, else by its file’s', async () => {
        const { hooks } = await open({ plugins: [{ from: file, name: 'gatekeeper' }] })
        expect(await hooks.onMessageEnqueue(message('rejects'))).toMatchObject({ plugin: 'gatekeeper' })
        expect(await hooks.onMessageEnqueue(message('emptyReason'))).toMatchObject({
          reason: 'rejected by plugin gatekeeper',
        })
      })

      it('through init, calls, on_shutdown and destroy in this order, each once, in each of its lanes', async () => {
        const { engine, hooks, lines } = await open({ plugins: [{ from: file, workers: 2 }] }, { keep: true })
        const steps = () => {
          if (runtime === 'native') return readFileSync(trail, 'utf8').trim().split('\n')
          return lines.map((line) => line.message)
        }
        const earlier = runtime === 'native' ? steps().length - 2 : 0
        expect(await hooks.onMessageEnqueue(message('rejects'))).toMatchObject({ kind: 'reject' })
        await until('both to have said so', () => steps().slice(earlier).length === 2)
        expect(steps().slice(earlier)).toEqual(['init', 'init'])
        await engine.close()
        expect(steps().slice(earlier)).toEqual(['init', 'init', 'on_shutdown', 'on_shutdown', 'destroy', 'destroy'])
      })

      it('on with what it keeps from call to call, each lane with its own', async () => {
        const { hooks } = await acts()
        const counts = await Promise.all([1, 2, 3].map(() => hooks.onMessageEnqueue(message('counts'))))
        expect(counts.map((verdict) => verdict.kind === 'reject' && verdict.reason)).toEqual(['1', '2', '3'])
      })
    })

    describe('is refused', () => {
      it('with a config, for which the ABI has no place', async () => {
        expect(await refusalOf(open({ plugins: [{ from: file, config: { maxBytes: 1 } }] }))).toMatchObject({
          code: 'PLUGIN_CONFIG_INVALID',
          message: expect.stringMatching(/plugin acts takes no config/),
        })
      })

      it('by engines of another contract', async () => {
        const engine = createHookEngine({ contract: lab, logger: silent, plugins: [{ from: file }] })
        expect(await refusalOf(engine)).toMatchObject({
          code: 'PLUGIN_CONTRACT_MISMATCH',
          message: expect.stringMatching(/that of delivery@1; the engine asks lab@1/),
        })
      })
    })

    it('runs beside modules in one lane, in the order of priority', async () => {
      const limiter = new URL('../../dist/hooks/payload-limiter.js', import.meta.url)
      const engine = await createHookEngine({
        contract: delivery,
        logger: silent,
        plugins: [
          { from: limiter, name: 'first', priority: 2, config: { maxBytes: 100 } },
          { from: file, priority: 1, bulkhead: 'trusted' },
          { from: limiter, name: 'last', config: { maxBytes: 10 } },
        ],
      })
      onTestFinished(() => engine.close())
      const { onMessageEnqueue } = engine.hooks
      expect(await onMessageEnqueue(message('rejects', 101))).toMatchObject({ plugin: 'first' })
      expect(await onMessageEnqueue(message('rejects', 100))).toMatchObject({ plugin: 'acts' })
      expect(await onMessageEnqueue(message('continues', 100))).toMatchObject({ plugin: 'last' })
      expect(await onMessageEnqueue(message('continues', 10))).toEqual({ kind: 'continue' })
    })
  })
}

/** A reason as it comes back: what is longer than 384 bytes says so. */
function cut(reason: string): unknown {
  const bytes = Buffer.byteLength(reason)
  if (bytes <= 384) return reason
  return expect.stringMatching(new RegExp(`^${escaped(reason.slice(0, 100))}[^]*… \\(${bytes} bytes\\)$`))
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
