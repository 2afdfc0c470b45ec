/**
 * The door `hookring/testing`: runs a plugin's hooks in a test, inline and in a real lane, and
 * makes up events for it. Used by plugin authors, with
 * any test runner.
 */
export { type GenerateOptions, generateEvents } from './generate.js'
export { type LaneOptions, type LaneRun, runInLane } from './in-lane.js'
export { type InlineHooks, type InlineOptions, type InlineRun, runInline } from './inline.js'
export type { LogEntry } from './logs.js'
