/**
 * The client of case `rpc`, in a process of its own so that its event loop does not blur the server's. Calls arrive by
 * the clock, not when the last one has ended (an open loop): a server that stalls is asked all the same.
 */
import { randomBytes } from 'node:crypto'
import { type ServiceError, status } from '@grpc/grpc-js'
import { connectDelivery, type DeliveryConnection } from '../../examples/delivery-server/client.js'
import { answerRequests, Histogram } from '../instruments.js'
import { type HookName, MARKED_BYTES, PLAIN_BYTES } from './misbehave.js'
import {
  BYSTANDER_PER_SECOND,
  type CallFigures,
  CLIENT_DEADLINE_MS,
  HOOKED_PER_SECOND,
  type SliceFigures,
} from './rates.js'

/** Answered with: nothing, nothing, SliceFigures. */
export type ClientRequest =
  | { readonly kind: 'connect'; readonly name: string; readonly address: string }
  | { readonly kind: 'disconnect'; readonly name: string }
  | SliceRequest

interface SliceRequest {
  readonly kind: 'slice'
  readonly name: string
  readonly hook: HookName
  readonly sliceMs: number
  /** Times the usual rates. */
  readonly pace: number
}

interface Target {
  readonly connection: DeliveryConnection
  readonly recipientKey: Uint8Array
  readonly channelId: Uint8Array
}

const targets = new Map<string, Target>()

answerRequests(async (request: ClientRequest): Promise<SliceFigures | undefined> => {
  switch (request.kind) {
    case 'connect':
      targets.set(request.name, await connect(request.address))
      return undefined
    case 'disconnect':
      targets.get(request.name)?.connection.close()
      targets.delete(request.name)
      return undefined
    case 'slice': {
      const target = targets.get(request.name)
      if (target === undefined) throw new Error(`not connected to ${request.name}`)
      return slice(target, request)
    }
  }
})

async function connect(address: string): Promise<Target> {
  const connection = connectDelivery(address)
  const users = ['sender', 'recipient'].map((username) => ({
    username,
    password: 'bench',
    identityKey: new Uint8Array(randomBytes(32)),
  }))
  const [sender, recipient] = users as [(typeof users)[0], (typeof users)[0]]
  for (const user of users) await connection.register(user)
  await connection.login(sender)
  const { channelId } = await connection.createChannel(recipient.identityKey)
  return { connection, recipientKey: recipient.identityKey, channelId }
}

/** Calls that come before a slice's own: the first ones after a pause find caches cold and threads asleep. */
const LEAD_IN_MS = 50

async function slice(target: Target, { hook, sliceMs, pace }: SliceRequest): Promise<SliceFigures> {
  globalThis.gc?.({ type: 'minor' })
  await callByClock(target, { hook: 'fast', sliceMs: LEAD_IN_MS, pace })
  return callByClock(target, { hook, sliceMs, pace })
}

async function callByClock(
  { connection, recipientKey, channelId }: Target,
  { hook, sliceMs, pace }: Pick<SliceRequest, 'hook' | 'sliceMs' | 'pace'>,
): Promise<SliceFigures> {
  const isMarked = markerOf(hook, Math.floor((HOOKED_PER_SECOND * sliceMs) / 1000))
  const plain = new Uint8Array(PLAIN_BYTES)
  const marked = new Uint8Array(MARKED_BYTES[hook])
  const options = { deadlineMs: CLIENT_DEADLINE_MS }
  const hooked = createRecorder(sliceMs)
  const bystander = createRecorder(sliceMs)
  const pending: Promise<void>[] = []

  const startMs = performance.now()
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsedMs = performance.now() - startMs
      if (elapsedMs >= sliceMs) {
        clearInterval(timer)
        resolve()
        return
      }
      while (hooked.issued() < (elapsedMs / 1000) * HOOKED_PER_SECOND * pace) {
        const mark = isMarked(hooked.issued())
        pending.push(
          hooked.record(mark, () =>
            connection.enqueue({ recipientKey, channelId, payload: mark ? marked : plain }, options),
          ),
        )
      }
      while (bystander.issued() < (elapsedMs / 1000) * BYSTANDER_PER_SECOND * pace) {
        pending.push(bystander.record(false, () => connection.ping(options)))
      }
    }, 1)
  })
  await Promise.all(pending)
  return { hooked: hooked.figures(), bystander: bystander.figures() }
}

/** Which of a slice's calls ask the hook to misbehave. */
function markerOf(hook: HookName, calls: number): (index: number) => boolean {
  switch (hook) {
    case 'fast':
      return () => false
    case 'sleeps':
      return (index) => index % 50 === 20
    case 'throws':
      return (index) => index % 20 === 10
    case 'spins':
      // One for each slice, early enough for the server to be through with it before the slice ends.
      return (index) => index === Math.floor(calls / 4)
  }
}

function createRecorder(sliceMs: number) {
  const histogram = new Histogram()
  const failures: Record<string, number> = {}
  const counts = { issued: 0, succeeded: 0, marked: 0, markedFailures: 0 }
  return {
    issued: () => counts.issued,
    async record(isMarked: boolean, call: () => Promise<unknown>): Promise<void> {
      counts.issued++
      if (isMarked) counts.marked++
      const startMs = performance.now()
      try {
        await call()
        counts.succeeded++
      } catch (error) {
        const kind = failureKind(error)
        failures[kind] = (failures[kind] ?? 0) + 1
        if (isMarked) counts.markedFailures++
      }
      histogram.record((performance.now() - startMs) * 1000)
    },
    figures: (): CallFigures => ({
      p50Us: histogram.percentile(0.5),
      p99Us: histogram.percentile(0.99),
      p999Us: histogram.percentile(0.999),
      rps: (counts.succeeded / sliceMs) * 1000,
      calls: counts.issued,
      failures,
      marked: counts.marked,
      markedFailures: counts.markedFailures,
    }),
  }
}

function failureKind(error: unknown): string {
  const { metadata, code } = error as Partial<ServiceError>
  const failure = metadata?.get('hookring-failure')[0]
  return failure === undefined ? (status[code ?? status.UNKNOWN] ?? 'UNKNOWN') : String(failure)
}
