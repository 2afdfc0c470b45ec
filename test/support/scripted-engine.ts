/** An engine for tests of adapters: its verdicts are what the test says, when the test says so, and it keeps what it was asked. */

import type { CallOptions } from 'hookring'
import { defineContract, gate, observe, respond, transform } from 'hookring/contracts'
import type { AskingEngine } from 'hookring/grpc'
import { z } from 'zod'

export const shop = defineContract('shop', 1, {
  onOrder: gate(z.object({ item: z.string(), total: z.number() })),
  onPrice: transform(z.object({ total: z.number() })),
  onQuote: respond(z.object({ item: z.string() }), z.object({ text: z.string() })),
  onSeen: observe(z.object({ item: z.string() })),
  onDone: observe(z.object({ code: z.int(), count: z.int(), isCancelled: z.boolean() })),
})
export type ShopEngine = AskingEngine<(typeof shop)['hookpoints']>

export interface Asked {
  readonly hookpoint: string
  readonly event: Record<string, unknown>
  readonly options: CallOptions
}

type Script = Partial<Record<keyof (typeof shop)['hookpoints'], (event: never, options: CallOptions) => unknown>>

export function scriptedEngine(script: Script = {}) {
  const asked: Asked[] = []
  const hooks: Record<string, unknown> = {}
  for (const [hookpoint, { kind }] of Object.entries(shop.hookpoints)) {
    hooks[hookpoint] = (event: Record<string, unknown>, options: CallOptions = {}) => {
      asked.push({ hookpoint, event, options })
      const answer = script[hookpoint as keyof Script]
      if (kind === 'observe') return answer?.(event as never, options)
      return (async () => (await answer?.(event as never, options)) ?? { kind: 'continue' })()
    }
  }
  const engine = { contract: shop, hooks } as unknown as ShopEngine
  return { engine, asked, askedOf: (hookpoint: string) => asked.filter((call) => call.hookpoint === hookpoint) }
}
