/** What a run of `hookring bench` is to do, and what it found. Types only. */
import type { ContenderName } from '../measure/contenders/index.js'
import type { Load, MemorySample, Round } from '../measure/subject.js'

/** What the plugins are asked; plain data, for processes and threads. */
export interface Question {
  /** By path, URL or package, with the operator's config. `config` is absent if there is none. */
  readonly plugins: readonly { readonly from: string; readonly config?: unknown }[]
  /** As written; undefined: the contract for which the first plugin was written. */
  readonly contract: string | undefined
  /** undefined: the first hookpoint to which the plugins subscribe. */
  readonly hookpoint: string | undefined
  readonly seed: number
  /** A recording to replay, in place of generated events. */
  readonly replay: string | undefined
}

export interface EngineSettings {
  readonly trust?: string
  readonly runtime?: string
  readonly boundary?: string
  readonly workers?: number
  readonly timeoutMs?: number
  readonly wait?: string
}

export interface BenchPlan {
  readonly question: Question
  readonly engine: EngineSettings
  readonly loads: readonly Load[]
  readonly compare: readonly ContenderName[]
  /** Milliseconds for each contender and load, over all rounds. */
  readonly durationMs: number
  readonly warmUpMs: number
  readonly limit: LimitPlan | undefined
}

export interface LimitPlan {
  readonly sloP99Ms: number
  readonly startRate: number
}

/** What the engine found out about the question. */
export interface About {
  readonly contract: string
  readonly hookpoint: string
  readonly kind: string
  readonly plugins: readonly { readonly name: string; readonly hooks: readonly string[] }[]
  /** Hookpoints that the plugins subscribe to. */
  readonly subscribed: readonly string[]
  readonly eventCount: number
}

/** A contender under a load. */
export interface Measured {
  readonly name: string
  readonly load: Load
  readonly rounds: readonly Round[]
  readonly note: string | undefined
  /** Why there are no more rounds, if it failed. */
  readonly broken: string | undefined
  readonly memory: MemorySample | undefined
}

export interface LimitStep {
  readonly ratePerSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly achievedPerSecond: number
  readonly failures: number
  readonly isHeld: boolean
}

export interface BenchFindings {
  readonly plan: BenchPlan
  readonly about: About
  readonly measured: readonly Measured[]
  readonly steps: readonly LimitStep[]
  readonly isInterrupted: boolean
  /** How many rounds were taken again, and why, if any were. */
  readonly retaken: string | undefined
}

export const ROUNDS = 5
