/**
 * The door `hookring/testing`: runs a plugin's hooks in a test, inline and in a real lane; makes up events for them, and
 * replays recorded ones; stands in for an engine in a server's unit tests. Used with any test runner.
 */
export { type ResultReading, readResult } from '../plugin/result.js'
export { type FakeCall, type FakeEngine, type FakeHandler, type FakeHandlers, fakeEngine } from './fake/index.js'
export { type Undecided, type UndecidedOptions, undecided } from './fake/undecided.js'
export { type GenerateOptions, generateEvents } from './generate/index.js'
export { type LaneOptions, type LaneRun, runInLane } from './in-lane.js'
export { type InlineHooks, type InlineOptions, type InlineRun, runInline } from './inline/index.js'
export type { LogEntry } from './inline/logs.js'
export { type RecordedEvent, type ReplayOptions, replayEvents } from './replay.js'
