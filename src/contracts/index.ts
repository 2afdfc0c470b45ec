/**
 * The door `hookring/contracts`: the contracts that ship, what it takes to define one's own, and the types of what calls
 * come to.
 */
export * from './connection.js'
export {
  type Contract,
  defineContract,
  type EventInput,
  type EventOutput,
  type GrantedServices,
  type HookEvent,
  type Hookpoint,
  type HookpointKind,
  type Hookpoints,
  type ProvidedServices,
  type ReplyInput,
  type ReplyOutput,
  type Service,
  type ServiceCaller,
  type Services,
  type VerdictOf,
} from './contract.js'
export * from './delivery.js'
export { ERROR_CODES, type ErrorCode, HookringError } from './errors.js'
export * from './exhook/exhook1.js'
export * from './exhook/exhook2.js'
export * from './exhook/exhook3.js'
export * from './exhook/rpcs.js'
export * from './http.js'
export { gate, observe, respond, service, type TransformOptions, transform } from './make-hookpoint.js'
export * from './mqtt.js'
export type { FailureAction, FailurePolicy } from './policy.js'
export type { Schema, SchemaInput, SchemaOutput } from './schema.js'
export { type SecretOptions, secret } from './secret.js'
export { bytes, i32, i64, u8, u16, u32, u64 } from './types.js'
export {
  type AnswerVerdict,
  type ContinueVerdict,
  FAILURE_KINDS,
  type Failure,
  type FailureKind,
  type GateVerdict,
  isUndecided,
  type RejectVerdict,
  type ReplaceVerdict,
  type RespondVerdict,
  type Resume,
  type ThrownError,
  type TransformVerdict,
  type Verdict,
} from './verdict.js'
