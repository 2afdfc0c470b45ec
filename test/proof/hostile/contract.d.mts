import type { Contract, Hookpoint } from 'hookring/contracts'
import type { z } from 'zod'

export type SiegeEvent = { id: number; text: string; order: string; seed: number }
export type SiegeEventInput = Pick<SiegeEvent, 'id'> & Partial<SiegeEvent>
export type SiegeAnswer = { id: number; text: string; even?: number | undefined }

type EventSchema = z.ZodType<SiegeEvent, SiegeEventInput>
type AnswerSchema = z.ZodType<SiegeAnswer, SiegeAnswer>
type Gate = Hookpoint<'gate', EventSchema, never>
type Transform = Hookpoint<'transform', EventSchema, never>

export type SiegePoints = {
  onGate: Gate
  onTransform: Transform
  onRespond: Hookpoint<'respond', EventSchema, AnswerSchema>
  onObserve: Hookpoint<'observe', EventSchema, never>
  onMixedGate: Gate
  onMixedParallel: Gate
  onMixedTransform: Transform
  onNorth: Gate
  onSouth: Transform
}
export const siege: Contract<SiegePoints>
