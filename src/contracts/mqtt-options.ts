/**
 * What an operator says of a broker with hooks: bounds, times, and what becomes of what no plugin has decided. For
 * attachHooks and for `hookring serve`. Each default stands here, once, with its reason.
 */
import { z } from 'zod/v4'

const ms = z.number().finite().min(0).max(2_147_483_647)
const count = z.int().min(0)

/** Each option is explained where it is typed, at AttachOptions. */
export const attachOptionsSchema = z.strictObject({
  onUndecided: z
    .strictObject({
      publish: z.enum(['hold', 'close', 'drop']).default('hold'),
      publishQos0: z.enum(['drop', 'hold', 'close']).default('drop'),
      subscribe: z.enum(['close', 'refuse']).default('close'),
      deliver: z.enum(['keep', 'drop']).default('keep'),
    })
    .prefault({}),
  /** Longer than a plugin is quarantined for at first: a short failure costs a pause, not a storm of reconnects. */
  holdMs: ms.default(10_000),
  /** A question that has not reached its plugin harms nobody but those who wait for it. */
  maxWaitMs: ms.default(30_000),
  /** More than one read from a publisher's socket can bring: a burst is waited for, not dropped. */
  maxQueuedDeliveries: count.default(16_384),
  maxQueuedBytes: count.default(16 * 1024 * 1024),
  /** Enough to keep a lane busy; few enough that the last of them is begun soon, on a busy machine too. */
  maxCallsUnderWay: z.int().min(1).default(256),
  /** What an event of the engine may be by default. */
  maxPacketBytes: z
    .int()
    .min(64)
    .max(268_435_455)
    .default(1024 * 1024),
  /** Room for a client id, a name, a token and a will. */
  maxConnectBytes: z
    .int()
    .min(64)
    .max(268_435_455)
    .default(16 * 1024),
  /** A client says CONNECT as soon as it is connected. */
  connectTimeoutMs: ms.default(10_000),
  /** With maxConnectBytes, 16 MiB that strangers can take at most. */
  maxUnauthenticated: z.int().min(1).default(1_000),
  onError: z
    .custom<(error: unknown, place: string) => void>((value) => typeof value === 'function', 'must be a function')
    .optional(),
})
export type ResolvedAttachOptions = z.output<typeof attachOptionsSchema>
