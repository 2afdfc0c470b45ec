/**
 * From what a guest's call came to, to what a lane's chain takes: plain values of this side, made anew from the guest's
 * text. Pure.
 */
import { VERDICT_BRAND } from '../../../contracts/brands.js'
import { HookringError } from '../../../contracts/errors.js'
import { reject, replace } from '../../../plugin/index.js'
import { thrownBy } from './definition.js'
import { PROTOCOL } from './guest/protocol.js'
import { readText } from './text.js'
import type { Vm } from './vm.js'

/** What a call, or a stage of the plugin's life, came to. */
export interface Settled {
  readonly status: number
  readonly code: number
  readonly text: string | null
  /** What the text refers to. */
  readonly bytes: Uint8Array
}

/** What may be said of an outcome: the guest's own bounds are tighter. */
export const MAX_SAID_BYTES = 32 * 1024 * 1024
const NO_BYTES = new Uint8Array()

/** What has just settled in the VM. */
export function settledIn(vm: Vm, text: string | null): Settled {
  const bytes = vm.word(PROTOCOL.OUT_BYTES) > 0 ? vm.out() : NO_BYTES
  return { status: vm.word(PROTOCOL.STATUS), code: vm.word(PROTOCOL.CODE), text, bytes }
}

/** What the hook returns. @throws what it threw, and HookringError EVENT_INVALID for a verdict that is none */
export function resultOf({ status, code, text, bytes }: Settled): unknown {
  switch (status) {
    case PROTOCOL.CONTINUE:
      return undefined
    case PROTOCOL.REJECT:
      return reject(String(JSON.parse(text ?? '""')), code === -1 ? undefined : code)
    case PROTOCOL.REPLACE:
      return replace(read(text, bytes))
    case PROTOCOL.VALUE:
      return read(text, bytes)
    case PROTOCOL.ODD:
      return oddOf(read(text, bytes, { hasFunctions: true }) as Odd)
    case PROTOCOL.ERROR:
      throw thrownBy(text)
    case PROTOCOL.INVALID:
      throw new HookringError('EVENT_INVALID', String(JSON.parse(text ?? '""')))
    default:
      throw new HookringError('EVENT_INVALID', 'the verdict could not be read')
  }
}

interface Odd {
  readonly brand: unknown
  readonly result: unknown
  readonly reason: unknown
  readonly code: unknown
}

/** As odd as it was over there, so that it is refused here in the words of any runtime. */
function oddOf({ brand, result, reason, code }: Odd): unknown {
  if (brand === undefined) return result
  return { [VERDICT_BRAND]: brand, reason, code }
}

function read(text: string | null, bytes: Uint8Array, options?: { hasFunctions: boolean }): unknown {
  if (text === null) throw new HookringError('EVENT_INVALID', 'the verdict is longer than it may be')
  try {
    return readText(text, bytes, options)
  } catch (cause) {
    throw new HookringError('EVENT_INVALID', 'the verdict could not be read', { cause })
  }
}
