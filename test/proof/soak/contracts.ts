/**
 * The contracts of the soak besides the shipped `delivery`: every kind of hookpoint, a parallel gate, events from a few
 * bytes to tens of kilobytes. Imported by the run and by its plugins; readable from any thread.
 *
 * Every event says which call it belongs to, and the rest of it follows from that number (events.ts): a hook that is
 * given the bytes of another call notices.
 */
import { bytes, defineContract, gate, observe, respond, transform, u32 } from 'hookring/contracts'
import { z } from 'zod'

const order = z.object({ id: u32(), customer: z.string(), cents: u32(), note: z.string() })
const price = z.object({ id: u32(), customer: z.string(), cents: u32(), steps: z.array(z.string()) })
const quote = z.object({ id: u32(), customer: z.string(), cents: u32(), sku: z.string() })

/** Chains of several hops, a transform, a respond; shadow, sample and match. */
export const shop = defineContract('soak-shop', 1, {
  onOrder: gate(order),
  onPrice: transform(price),
  onQuote: respond(quote, z.object({ id: u32(), cents: u32(), text: z.string() })),
  onShipped: observe(order),
})

const post = z.object({ id: u32(), key: z.string(), size: u32(), text: z.string() })

/** A parallel gate, partitioned observations, large events, a narrow queue. */
export const feed = defineContract('soak-feed', 1, {
  onPost: gate(post, { order: 'parallel' }),
  onTick: observe(z.object({ id: u32(), key: z.string(), seq: u32(), text: z.string() })),
  onBlob: gate(z.object({ id: u32(), size: u32(), body: bytes({ max: 100_000 }) })),
  onNote: observe(post),
})

const memo = z.object({ id: u32(), weight: u32(), text: z.string() })

/** Of the engine that is closed and made again while it is called. */
export const brief = defineContract('soak-brief', 1, { onAsk: gate(memo), onTold: observe(memo) })
