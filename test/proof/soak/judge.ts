/**
 * Whether what a call came to is true. The verdict must be the one that the plugins' decisions lead to; where a plugin
 * failed, its policy must have been applied, and a decision for which a plugin must have been asked needs its mark. Pure.
 *
 * A plugin's failure by time, death, overload or quarantine can never be ruled out from outside, so the judge goes
 * through every way in which the chain may have gone and asks whether one of them ends in what was said. `error` and
 * `invalid` are allowed only where the call was told to throw or to answer badly.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Failure, FailureKind, Verdict } from 'hookring'
import type { HookpointKind } from 'hookring/contracts'
import { decide } from './decisions.js'
import type { SoakEvent } from './events.js'
import { type Act, HARMLESS } from './evidence.js'
import { policyOf, type Role } from './roles.js'

/** A plugin as it was when the call was made. */
export interface Link {
  readonly role: Role
  /** Which version answers: two while a reload is under way. */
  readonly versions: readonly number[]
}

export interface Case {
  readonly kind: HookpointKind
  readonly isParallel: boolean
  readonly hookpoint: string
  readonly event: SoakEvent
  /** Those that enforce, in the order of the chain. */
  readonly chain: readonly Link[]
  /** What the call was told to have done to it, and by whom. */
  readonly act: Act
  readonly actor: Role | null
  /** The server's thread stood still while the call was under way. */
  readonly stoodStill: boolean
  /** How often the plugin's hook was entered for it. */
  entered(role: Role): number
}

/** What the call came to, as the caller saw it: a verdict, or the failure of a plugin whose policy is `raise`. */
export type Answer = { readonly verdict: Verdict } | { readonly raised: Failure }

interface Course {
  readonly event: SoakEvent
  readonly by: string | null
  readonly failed: readonly { readonly plugin: string; readonly kind: FailureKind }[]
}

const ANY_TIME: readonly FailureKind[] = ['timeout', 'crash', 'overload', 'quarantined']

export function isTrue(about: Case, answer: Answer): boolean {
  return canEnd(about, answer, 0, { event: about.event, by: null, failed: [] })
}

/** Whether the chain, from its plugin `at` on, can have ended in the answer. */
function canEnd(about: Case, answer: Answer, at: number, course: Course): boolean {
  const link = about.chain[at]
  if (link === undefined) return isWholeChain(about, answer, course)
  const { role } = link
  const goOn = (next: Course): boolean => canEnd(about, answer, at + 1, next)
  // Matched on fields that no plugin changes.
  if (role.wants !== undefined && !role.wants(about.event)) return goOn(course)
  const wasAsked = role.column === null || about.entered(role) > 0
  if (!wasAsked && (role.options?.sample ?? 1) < 1 && goOn(course)) return true
  const act = about.actor === role ? about.act : 'none'
  // A late reply is in time after all when the server's thread stood still meanwhile, and at no other time.
  if (wasAsked && (HARMLESS.has(act) || (act === 'lateReply' && about.stoodStill))) {
    for (const version of link.versions) {
      const decision = decide({ role: role.name, version }, about.hookpoint, course.event)
      if (decision.kind === 'continue') {
        if (goOn(course)) return true
      } else if (decision.kind === 'replace') {
        if (goOn({ ...course, event: decision.event, by: role.name })) return true
      } else if (isDecision(about, answer, role, decision, course)) return true
    }
  }
  return failuresOf(act).some((kind) => canFail(about, answer, at, course, role, kind))
}

function failuresOf(act: Act): readonly FailureKind[] {
  if (act === 'throw') return [...ANY_TIME, 'error']
  if (act === 'badReply') return [...ANY_TIME, 'invalid']
  return ANY_TIME
}

function canFail(about: Case, answer: Answer, at: number, course: Course, role: Role, kind: FailureKind): boolean {
  const said = 'raised' in answer ? answer.raised : answer.verdict.failure
  const isSaid = said?.plugin === role.name && said.kind === kind
  switch (policyOf(role, about.kind, kind)) {
    case 'allow': {
      // Without a failure in the verdict none was allowed; a parallel gate tells only of those of the hop that decided.
      if (said === undefined && !about.isParallel) return false
      const failed = [...course.failed, { plugin: role.name, kind }]
      return canEnd(about, answer, at + 1, { ...course, failed })
    }
    case 'raise':
      return 'raised' in answer && isSaid
    case 'deny':
      return isSaid && 'verdict' in answer && isDenied(answer.verdict, role)
  }
}

function isDenied(verdict: Verdict, role: Role): boolean {
  return verdict.kind === 'reject' && verdict.plugin === role.name && verdict.failure?.plugin === role.name
}

function isDecision(
  about: Case,
  answer: Answer,
  role: Role,
  decision:
    | { readonly kind: 'reject'; readonly reason: string }
    | { readonly kind: 'respond'; readonly value: SoakEvent },
  course: Course,
): boolean {
  if (!('verdict' in answer)) return false
  const { verdict } = answer
  if (!tellsFailures(about, verdict, course)) return false
  if (decision.kind === 'reject') {
    return verdict.kind === 'reject' && verdict.plugin === role.name && verdict.reason === decision.reason
  }
  return verdict.kind === 'respond' && verdict.plugin === role.name && isDeepStrictEqual(verdict.value, decision.value)
}

function isWholeChain(about: Case, answer: Answer, course: Course): boolean {
  if (!('verdict' in answer)) return false
  const { verdict } = answer
  if (!tellsFailures(about, verdict, course)) return false
  if (course.by === null) return verdict.kind === 'continue'
  return verdict.kind === 'replace' && verdict.plugin === course.by && isDeepStrictEqual(verdict.event, course.event)
}

/** A verdict carries one of the failures that were allowed on the way to it, and none when there was none. */
function tellsFailures(about: Case, { kind, failure }: Verdict, { failed }: Course): boolean {
  if (failure !== undefined) return failed.some((one) => one.plugin === failure.plugin && one.kind === failure.kind)
  return failed.length === 0 || (about.isParallel && kind === 'reject')
}
