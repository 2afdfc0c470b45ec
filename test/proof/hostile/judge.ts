/**
 * What calls of the siege may come to. Pure; knows of each hookpoint who is asked there, and holds a verdict to what the
 * honest plugins among them say.
 */
import type { Failure, GateVerdict, TransformVerdict, Verdict } from 'hookring'
import type { SiegeAnswer, SiegeEvent } from './contract.mjs'
import { callInTag, gateVerdict, sealed, tagOf } from './verdicts.mjs'

export const ATTACKERS: readonly string[] = ['attacker', 'accomplice']

export type AnyVerdict = GateVerdict | TransformVerdict<SiegeEvent> | Verdict

/** A call as it was made. `movesBytes`: the attacker of the moment carries replies from call to call by itself. */
export interface Asked {
  readonly id: number
  readonly text: string
  readonly movesBytes: boolean
}

/** A problem in words, or null. */
export type Judge = (asked: Asked, verdict: AnyVerdict) => string | null

/** North alone: nobody else may have had a say. */
export const judgeNorth: Judge = (asked, verdict) => asTheGateSays('north', asked, verdict)

/** South alone: always a replacement, sealed. */
export const judgeSouth: Judge = (asked, verdict) => {
  if ('failure' in verdict && verdict.failure !== undefined) return `failed: ${verdict.failure.message}`
  return asSouthSeals(asked, asked.text, verdict)
}

/** The attackers alone: anything that they may say of this call, and nothing that they say of another. */
export const judgeOwn: Judge = (asked, verdict) => {
  if ('plugin' in verdict && !ATTACKERS.includes(verdict.plugin)) return `decided by ${verdict.plugin}`
  return failureOfOthers(verdict) ?? otherCallsTag(asked, verdict)
}

/** North, the attackers, South, in this order: North's refusal stands, the attackers may refuse, else South decides. */
export const judgeMixedGate: Judge = (asked, verdict) => {
  if (gateVerdict('north', asked) !== null) return asTheGateSays('north', asked, verdict)
  if (isAttackersReject(verdict)) return otherCallsTag(asked, verdict)
  return failureOfOthers(verdict) ?? asTheGateSays('south', asked, verdict)
}

/** North seals, the attackers may replace or refuse, South seals what it was given: its seal is always the last word. */
export const judgeMixedTransform: Judge = (asked, verdict) => {
  if (isAttackersReject(verdict)) return otherCallsTag(asked, verdict)
  const wrong = failureOfOthers(verdict)
  if (wrong !== null) return wrong
  if (verdict.kind !== 'replace') return `${verdict.kind} instead of a replacement`
  const { text } = verdict.event as SiegeEvent
  const given = text.slice(0, Math.max(0, text.lastIndexOf('|')))
  const unchanged = sealed('north', asked)
  if (given !== unchanged && otherCallsTag(asked, verdict) !== null) return otherCallsTag(asked, verdict)
  return asSouthSeals(verdict.event as SiegeEvent, given, verdict)
}

/**
 * Whether it shows in the verdict that a completion of the attackers' lane was taken for the call. Where another plugin
 * refused, it shows only if the attackers came before it in the chain.
 */
export function isTaken(verdict: AnyVerdict, order: 'sequential' | 'parallel'): boolean {
  if (verdict.kind === 'reject' && !ATTACKERS.includes(verdict.plugin)) {
    if (order === 'parallel' || verdict.plugin === 'north') return false
  }
  const failure = 'failure' in verdict ? verdict.failure : undefined
  return failure === undefined || isCompletion(failure)
}

/** An error, an invalid verdict or an abandoned hook is a completion; a lost lane or a deadline is none. */
function isCompletion({ kind, message }: Failure): boolean {
  return kind === 'error' || kind === 'invalid' || (kind === 'timeout' && message.includes('promise was pending'))
}

function asTheGateSays(name: string, asked: Asked, verdict: AnyVerdict): string | null {
  const expected = gateVerdict(name, asked)
  if (expected === null) return verdict.kind === 'continue' ? null : `${verdict.kind} instead of continue`
  if (verdict.kind !== 'reject') return `${verdict.kind} instead of a reject by ${name}`
  const isSame =
    verdict.plugin === name &&
    verdict.reason === expected.reason &&
    verdict.code === expected.code &&
    (verdict.failure === undefined || ATTACKERS.includes(verdict.failure.plugin))
  return isSame ? null : `reject by ${verdict.plugin} (${verdict.reason}) instead of ${name} (${expected.reason})`
}

function asSouthSeals(asked: { id: number }, given: string, verdict: AnyVerdict): string | null {
  if (verdict.kind !== 'replace') return `${verdict.kind} instead of a replacement`
  const { id, text } = verdict.event as SiegeEvent
  const isSame = verdict.plugin === 'south' && id === asked.id && text === sealed('south', { id, text: given })
  return isSame ? null : `replaced by ${verdict.plugin} with ${JSON.stringify(text)}: not what south makes of it`
}

function isAttackersReject(verdict: AnyVerdict): boolean {
  return verdict.kind === 'reject' && ATTACKERS.includes(verdict.plugin)
}

function failureOfOthers(verdict: AnyVerdict): string | null {
  const failure = 'failure' in verdict ? verdict.failure : undefined
  return failure === undefined || ATTACKERS.includes(failure.plugin) ? null : `failed in ${failure.plugin}`
}

/** The tag in whatever the verdict says, when it is another call's. */
function otherCallsTag({ id, movesBytes }: Asked, verdict: AnyVerdict): string | null {
  if (movesBytes) return null
  for (const text of textsIn(verdict)) {
    const named = callInTag(text)
    if (named !== null && named !== id) return `has the verdict of ${tagOf(named)}`
  }
  return null
}

function textsIn(verdict: AnyVerdict): string[] {
  const texts = 'failure' in verdict && verdict.failure !== undefined ? [verdict.failure.message] : []
  if (verdict.kind === 'reject') texts.push(verdict.reason)
  if (verdict.kind === 'replace') texts.push((verdict.event as SiegeEvent).text)
  if (verdict.kind === 'respond') texts.push((verdict.value as SiegeAnswer).text)
  return texts
}
