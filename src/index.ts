/**
 * The door `hookring`: what a server needs to run plugins at its hookpoints.
 */
export { defineContract } from './contracts/contract.js'
export { ERROR_CODES, type ErrorCode, HookringError } from './contracts/errors.js'
export type { Logger, MatchCondition, MatchOption, PluginOptions } from './contracts/options.js'
export type { FailureAction, FailurePolicy } from './contracts/policy.js'
export { defineConfig, type ServeConfig } from './contracts/serve-config.js'
export type {
  AnswerVerdict,
  ContinueVerdict,
  CutShortBy,
  Failure,
  FailureKind,
  GateVerdict,
  RejectVerdict,
  ReplaceVerdict,
  RespondVerdict,
  Resume,
  ThrownError,
  TransformVerdict,
  Verdict,
} from './contracts/verdict.js'
export type { EngineOptions, HookEngine } from './host/api.js'
export type { EngineHooks } from './host/calls/hooks.js'
export { createHookEngine } from './host/engine.js'
export type { CallOptions, CallTimes } from './host/model/call-options.js'
export type { PluginChange } from './host/plugins/plugin-changes.js'
export type { PluginStatus } from './host/plugins/plugin-lookup.js'
export type { Watching, WatchOptions } from './host/plugins/plugin-watch.js'
export type { Recording, RecordingSummary, RecordOptions } from './host/recordings.js'
export type {
  DeadLetter,
  EngineEvents,
  LaneReplaced,
  PluginError,
  PluginQuarantined,
  PluginReloaded,
  Zombie,
} from './host/telemetry/events.js'
export type { CallTraceMessage } from './host/telemetry/tracing.js'
