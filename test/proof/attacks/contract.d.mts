import type { Contract, Hookpoint } from 'hookring/contracts'
import type { z } from 'zod'

type Event = z.ZodObject<{ text: z.ZodString; id: z.ZodInt; blob: z.ZodType<Uint8Array> }>
type Answer = z.ZodObject<{ text: z.ZodString }>

export type AttackPoints = {
  onGate: Hookpoint<'gate', Event, never>
  onTransform: Hookpoint<'transform', Event, never>
  onRespond: Hookpoint<'respond', Event, Answer>
  onVictim: Hookpoint<'gate', Event, never>
  onNeighbour: Hookpoint<'gate', Event, never>
}
export const attacks: Contract<AttackPoints>
