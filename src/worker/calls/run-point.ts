/** A hookpoint as those see it who run its hooks. The lane's thread, or its child process. */
import { createEncoder, type Encoder } from '../../contracts/codec/encode.js'
import { createReader, type EventReader } from '../../contracts/codec/read.js'
import type { HookpointKind } from '../../contracts/contract.js'
import type { HookpointSpec } from '../../contracts/control.js'

export interface RunPoint {
  readonly kind: HookpointKind
  readonly reader: EventReader
  /** Encodes a transform's replacement or a respond's answer. */
  readonly replyEncoder: Encoder | null
}

/** Makes code: only for hookpoints that have hooks to run. */
export function createRunPoint({ kind, name, plan, replyPlan }: HookpointSpec): RunPoint {
  const replyEncoder =
    kind === 'transform'
      ? createEncoder(plan, { label: `${name}: replacement` })
      : replyPlan === null
        ? null
        : createEncoder(replyPlan, { label: `${name}: answer` })
  return { kind, reader: createReader(plan), replyEncoder }
}
